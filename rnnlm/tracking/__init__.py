"""Where a run is recorded: a protocol, what records nothing, a file of JSON lines, and MLflow."""

from rnnlm.tracking.json_lines import JsonLines
from rnnlm.tracking.tracker import Null, Tracker

__all__ = ["JsonLines", "Null", "Tracker"]

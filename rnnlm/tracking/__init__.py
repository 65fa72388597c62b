"""Where a run is recorded: a protocol, what records nothing, and MLflow."""

from rnnlm.tracking.tracker import Null, Tracker

__all__ = ["Null", "Tracker"]

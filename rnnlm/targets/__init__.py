"""The target tasks. A new one is a module here, an entry of TARGETS, settings for its training, and a head."""

from rnnlm.targets.classification import Classification
from rnnlm.targets.measure import BITS, Measure, three_digits
from rnnlm.targets.regression import Regression
from rnnlm.targets.tagging import Tagging
from rnnlm.targets.task import Metric, Said, TargetTask

__all__ = ["BITS", "TARGETS", "TASKS", "Measure", "Metric", "Said", "TargetTask", "measure_of", "three_digits"]

# By what their models are called (`classifier`), and by what experiments call them (`classification`).
TARGETS: dict[str, TargetTask] = {one.model: one for one in (Classification(), Regression(), Tagging())}
TASKS: dict[str, TargetTask] = {one.name: one for one in TARGETS.values()}


def measure_of(model: str) -> Measure:
    """Return what models of a kind are judged by: `language_model`, or the `model` of a target task."""
    return TARGETS[model].measure if model in TARGETS else BITS

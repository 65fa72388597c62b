"""The experiment: its parts, the whole, and how it is read from a file."""

from rnnlm.experiment.experiment import Experiment, ExperimentName, Pretraining
from rnnlm.experiment.parts import Comparison, Promotion, Source, Target
from rnnlm.experiment.reading import check_experiment, load_experiment, load_pretraining
from rnnlm.experiment.validation import Validation, all_labels, validation_of

__all__ = [
    "Comparison",
    "Experiment",
    "ExperimentName",
    "Pretraining",
    "Promotion",
    "Source",
    "Target",
    "Validation",
    "all_labels",
    "check_experiment",
    "load_experiment",
    "load_pretraining",
    "validation_of",
]

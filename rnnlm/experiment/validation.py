"""Which labelled documents a model of the target task is chosen by."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

FOLDS = 5  # of a cross-validation: each model is trained on four fifths
# Of 100 documents, accuracy has a standard error of up to 5 points. With fewer to choose by, all are asked in turn.
FEWEST_HELD_OUT = 100
# In cross-validation each model is trained six times. With more labels than this, that costs more than it brings.
MOST_CROSS_VALIDATED = 1_000


class Validation(BaseModel):
    """How the models of a cell are chosen: learning rate, evaluation, temperature, weight in a mean.

    Attributes:
        way: `split`: by the whole validation split, which is not counted in the cell's number of labels. `held out`: by
            some of its labels, on which nothing is trained. `cross-validation`: by all of them, each time by a part
            that the model was not trained on; then the model is trained on all.
        documents: Number of labelled documents that choose.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    way: Literal["split", "held out", "cross-validation"]
    documents: int


def all_labels(counted: bool, labelled: Mapping[str, int]) -> int:
    """Return the number of labels that `all` is.

    Args:
        counted: Whether documents that choose a model count as labels.
        labelled: Number of the target's labelled documents of each split.
    """
    return labelled["train"] + (labelled["valid"] if counted else 0)


def validation_of(counted: bool, labels: int, labelled: Mapping[str, int]) -> Validation:
    """Return how models with a number of labels are chosen.

    Args:
        counted: Whether documents that choose a model count as labels.
        labels: The number of labels.
        labelled: Number of the target's labelled documents of each split.
    """
    valid = labelled["valid"]
    if not counted:
        return Validation(way="split", documents=valid)
    held_out = round(labels * valid / all_labels(counted, labelled))
    if held_out < FEWEST_HELD_OUT and labels <= MOST_CROSS_VALIDATED:
        return Validation(way="cross-validation", documents=labels)
    return Validation(way="held out", documents=min(valid, max(held_out, FEWEST_HELD_OUT)))

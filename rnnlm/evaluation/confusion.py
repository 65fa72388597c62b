"""Which classes are taken for which, and how well each is found."""

from collections.abc import Sequence

import numpy as np

from rnnlm.evaluation.verdict import ClassScores, Confusion
from rnnlm.targets.class_scores import precision_recall_f1

MOST_CLASSES = 12  # a larger matrix says nothing to the eye


def confusion(arm: str, labels: int, seeds: int, counts: np.ndarray, names: Sequence[str]) -> Confusion:
    """Return the matrix of an arm with the scores of each class.

    Args:
        arm: The arm.
        labels: Number of labels that it learnt from.
        seeds: Number of seeds that the counts are the sum of.
        counts: (classes, classes) documents, rows true, columns said.
        names: The classes.
    """
    return Confusion(
        arm=arm,
        labels=labels,
        seeds=seeds,
        classes=[
            ClassScores(label=name, precision=precision, recall=recall, f1=f1, support=int(row.sum()))
            for name, row, (precision, recall, f1) in zip(names, counts, precision_recall_f1(counts), strict=True)
        ],
        counts=counts.tolist() if len(names) <= MOST_CLASSES else [],
    )

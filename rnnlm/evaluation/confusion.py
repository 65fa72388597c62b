"""Which classes are taken for which, and how well each is found."""

from collections.abc import Sequence

import numpy as np

from rnnlm.evaluation.verdict import ClassScores, Confusion

MOST_CLASSES = 12  # a larger matrix says nothing to the eye


def confusion_counts(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Count the documents of each class (rows) that were said to be of each class (columns): (classes, classes).

    Args:
        predicted: (documents,) class indices that were said.
        labels: (documents,) true class indices.
        classes: Number of classes.
    """
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def confusion(arm: str, labels: int, seeds: int, counts: np.ndarray, names: Sequence[str]) -> Confusion:
    """Give the matrix of an arm with the scores of each class.

    Args:
        arm: The arm.
        labels: Number of labels that it learnt from.
        seeds: Number of seeds that the counts are the sum of.
        counts: (classes, classes) documents, rows true, columns said.
        names: The classes.
    """
    hits, said, true = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    return Confusion(
        arm=arm,
        labels=labels,
        seeds=seeds,
        classes=[
            ClassScores(
                label=name,
                precision=_share(hits[n], said[n]),
                recall=_share(hits[n], true[n]),
                f1=_share(2 * hits[n], said[n] + true[n]),
                support=int(true[n]),
            )
            for n, name in enumerate(names)
        ],
        counts=counts.tolist() if len(names) <= MOST_CLASSES else [],
    )


def _share(part: int, whole: int) -> float:
    """Give a share; of nothing it is 0, as scikit-learn does it."""
    return float(part / whole) if whole else 0.0

"""Scores of a classifier."""

import numpy as np

# Smallest probability whose logarithm is taken: that of float32, in which the model computes.
TINY = float(np.finfo(np.float32).tiny)


def confusion_counts(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Count the documents of each class (rows) that were said to be of each class (columns): (classes, classes).

    Args:
        predicted: (documents,) class indices that were said.
        labels: (documents,) true class indices.
        classes: Number of classes.
    """
    pairs = labels.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def precision_recall_f1(counts: np.ndarray) -> list[tuple[float, float, float]]:
    """Return precision, recall and F1 of each class from the counts of `confusion_counts`."""
    hits, said, true = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    return [
        # F1 is 2 PR / (P + R) in counts.
        (_share(hits[n], said[n]), _share(hits[n], true[n]), _share(2 * hits[n], said[n] + true[n]))
        for n in range(len(counts))
    ]


def _share(part: int, whole: int) -> float:
    """Return a share; of nothing it is 0, as scikit-learn does it."""
    return float(part / whole) if whole else 0.0


def classification_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return accuracy, macro-F1 and mean negative log-likelihood (nats a document).

    Args:
        probabilities: (documents, classes).
        labels: (documents,) class indices.
    """
    predicted = probabilities.argmax(axis=1)
    counts = confusion_counts(predicted, labels, probabilities.shape[1])
    # A class that is neither in the labels nor said has no F1: scikit-learn leaves it out, too.
    there = counts.sum(axis=0) + counts.sum(axis=1) > 0
    f1 = np.array([one[2] for one in precision_recall_f1(counts)])[there]
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": float(np.mean(f1)),
        "nll": float(-np.log(np.maximum(right, TINY)).mean()),
    }

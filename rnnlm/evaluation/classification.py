"""Scores of a classifier."""

import numpy as np

# Smallest probability whose logarithm is taken: that of float32, in which the model computes.
TINY = float(np.finfo(np.float32).tiny)


def classification_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Give accuracy, macro-F1 and mean negative log-likelihood (nats a document).

    Args:
        probabilities: (documents, classes).
        labels: (documents,) class indices.
    """
    predicted = probabilities.argmax(axis=1)
    f1 = []
    for label in range(probabilities.shape[1]):
        hits = int(((predicted == label) & (labels == label)).sum())
        said, true = int((predicted == label).sum()), int((labels == label).sum())
        # 2 PR / (P + R) in counts; a class that neither occurs nor is said counts 0, as scikit-learn does.
        f1.append(2.0 * hits / (said + true) if said + true else 0.0)
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": float(np.mean(f1)),
        "nll": float(-np.log(np.maximum(right, TINY)).mean()),
    }

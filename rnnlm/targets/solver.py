"""Models of a target task that are linear in their features, and solved to their optimum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rnnlm.settings import ClassWeights


@dataclass(frozen=True)
class Solver:
    """A way to fit such a model.

    Attributes:
        strengths: Inverse strengths of the L2 penalty that are tried; validation chooses.
        features: Takes what it reads of the training documents and of further groups of documents, and by name the
            number of `classes` (0 if labels are numbers), whether the script is `parted` by spaces, and how many
            `characters` a document has in the mean. Returns the features of the training documents, then of each group.
        solve: Takes the features of the training documents, their labels, the features of each group, a strength and
            what is left in `Options`. Returns what the model says of each group.
        reads: What it reads of a document: its text, its words, or its vector (a column of `documents.parquet`).
    """

    strengths: tuple[float, ...]
    features: Callable[..., list[Any]]
    solve: Callable[[Any, Any, Sequence[Any], float, "Options"], list[np.ndarray]]
    reads: Literal["text", "words", "vector"] = "text"


@dataclass(frozen=True)
class Options:
    """What only some models take.

    Attributes:
        classes: Number of classes or tags; 0 if labels are numbers.
        class_weights: Whether rare classes count more in training.
        document_weights: (documents,) how much each training document counts; if None, all the same.
    """

    classes: int
    class_weights: ClassWeights = "none"
    document_weights: np.ndarray | None = None


def standardised(train: Sequence[Any], others: Sequence[Sequence[Any]], **_: Any) -> list[Any]:
    """Return vectors less the training documents' mean, divided by their standard deviation: (documents, width) arrays.

    So a penalty means the same for all numbers of a vector, whatever model made it.
    """
    groups = [np.asarray(group, np.float64) for group in (train, *others)]
    middle, deviation = groups[0].mean(axis=0), groups[0].std(axis=0)
    return [(group - middle) / np.where(deviation > 0.0, deviation, 1.0) for group in groups]


def logistic_regression(
    features: Any, labels: np.ndarray, others: Sequence[Any], strength: float, options: Options
) -> list[np.ndarray]:
    """Return the probability of each class, (documents, classes); 0 for a class without a training document."""
    from sklearn.linear_model import LogisticRegression

    said = [np.zeros((other.shape[0], options.classes)) for other in others]
    there = np.unique(labels)
    if len(there) == 1:
        for one in said:
            one[:, there] = 1.0
        return said
    weights = "balanced" if options.class_weights == "balanced" else None
    model = LogisticRegression(C=strength, max_iter=1_000, class_weight=weights)
    model.fit(features, labels, options.document_weights)
    for one, other in zip(said, others, strict=True):
        one[:, model.classes_] = model.predict_proba(other)
    return said


def ridge_regression(
    features: Any, labels: np.ndarray, others: Sequence[Any], strength: float, _: Options
) -> list[np.ndarray]:
    """Return a number for each document, (documents,), within the range of the training labels."""
    from sklearn.linear_model import Ridge

    # Conjugate gradients: the one solver for sparse features with an intercept that draws no random numbers.
    return _ridge(Ridge(alpha=1.0 / strength, solver="sparse_cg", tol=1e-6), features, labels, others)


def ridge_of_vectors(
    features: np.ndarray, labels: np.ndarray, others: Sequence[np.ndarray], strength: float, _: Options
) -> list[np.ndarray]:
    """Return the same from vectors."""
    from sklearn.linear_model import Ridge

    return _ridge(Ridge(alpha=1.0 / strength, solver="cholesky"), features, labels, others)


def _ridge(model: Any, features: Any, labels: np.ndarray, others: Sequence[Any]) -> list[np.ndarray]:
    model.fit(features, labels)
    return [np.clip(model.predict(other), labels.min(), labels.max()) for other in others]

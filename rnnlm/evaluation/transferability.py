"""How well frozen features tell classes apart, without training anything on them: LogME and the H-score."""

import numpy as np

ROUNDS = 1_000
# Bounds of the ratio of the prior's precision to the noise's, in units of the features' largest squared singular value.
# Labels that the features tell nothing of drive it to infinity; labels that they tell exactly, to zero.
LEAST, MOST = 1e-10, 1e10


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """Return the log marginal evidence of a linear model of the labels on the features, in nats a document.

    For each class, whether a document belongs to it is y = F w + b + noise with w ~ N(0, 1/alpha) and noise ~
    N(0, 1/beta); alpha and beta are those under which the labels are likeliest (You et al. 2021, "LogME"), found by the
    fixed-point iteration of You et al. 2022 on the singular values. It integrates over all linear heads, so that it
    does not overfit; more is better. Unlike theirs, the model has an intercept b, as a classifier's head has, under a
    flat prior: features and y are centred, and one degree of freedom goes with it.

    Args:
        features: (documents, width). The prior is the same for all of them: they should have one scale.
        labels: (documents,) class indices, of two classes at least.

    Returns:
        The mean over the classes.
    """
    classes = np.unique(labels)
    u, singular, _ = np.linalg.svd(_centred(features), full_matrices=False)
    squared = singular**2
    evidences = []
    for label in classes:
        y = (labels == label) - np.mean(labels == label)
        along = (u.T @ y) ** 2
        evidences.append(_evidence(squared, along, max(0.0, float(y @ y - along.sum())), len(y) - 1))
    return float(np.mean(evidences)) / len(labels)


def _evidence(squared: np.ndarray, along: np.ndarray, outside: float, dimensions: int) -> float:
    """Return the largest log evidence of one class, in nats.

    Args:
        squared: (k,) squared singular values of the features.
        along: (k,) squared length of y along each left singular vector.
        outside: Squared length of y outside of their span.
        dimensions: Of the space of the centred y.
    """
    scale = float(squared.max()) or 1.0  # features that do not vary tell nothing, at any ratio
    least, most, ratio = LEAST * scale, MOST * scale, scale  # alpha / beta
    for _ in range(ROUNDS):
        freedom = float((squared / (squared + ratio)).sum())
        residual = outside + float((along / (1.0 + squared / ratio) ** 2).sum())
        weights = float((squared * along / (squared + ratio) ** 2).sum())
        before = ratio
        ratio = np.clip(freedom * residual / max((dimensions - freedom) * weights, 1e-300), least, most)
        if abs(ratio - before) <= 1e-6 * before:
            break
    # For a ratio, the best beta is known: the evidence is that of y ~ N(0, (I + F F' / ratio) / beta).
    beta = dimensions / (outside + float((along / (1.0 + squared / ratio)).sum()))
    return 0.5 * float(dimensions * (np.log(beta) - 1.0 - np.log(2.0 * np.pi)) - np.log1p(squared / ratio).sum())


def h_score(features: np.ndarray, labels: np.ndarray, shrinkage: float = 0.0) -> float:
    """Return the H-score: the variance of the features between the classes, in units of their variance.

    tr(cov(f)^-1 cov(E[f|y])) (Bao et al. 2019): the sum of the squared canonical correlations of features and classes,
    from 0 to the number of classes less one. With fewer documents than features it is as large as it can be, whatever
    the features are; shrinking both covariances (Ibrahim et al. 2022) mends that.

    Args:
        features: (documents, width).
        labels: (documents,) class indices.
        shrinkage: From 0, the plain score, to 1: how far cov(f) is drawn to a multiple of the identity. Of Ledoit and
            Wolf, for example.
    """
    centred = _centred(features)
    covariance = centred.T @ centred / len(centred)
    width = len(covariance)
    covariance = (1.0 - shrinkage) * covariance + shrinkage * np.trace(covariance) / width * np.eye(width)
    means = np.stack([centred[labels == label].mean(axis=0) for label in np.unique(labels)])
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    between = (1.0 - shrinkage) * (means.T * shares) @ means
    return float(np.trace(np.linalg.pinv(covariance, hermitian=True) @ between))


def standardised(features: np.ndarray) -> np.ndarray:
    """Return features with mean 0 and variance 1 each, in float64; those that do not vary become 0."""
    centred = _centred(features)
    deviation = centred.std(axis=0)
    return np.asarray(centred / np.where(deviation > 1e-12 * max(1.0, float(deviation.max())), deviation, np.inf))


def _centred(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float64)
    return np.asarray(features - features.mean(axis=0))

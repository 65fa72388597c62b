"""Whether a classifier's confidence agrees with its accuracy, and what corrects it (Guo et al. 2017)."""

import math

import numpy as np

from rnnlm.targets.class_scores import TINY, classification_metrics

BINS = 15
# Temperatures to choose from: a validation split without an error would ask for zero, one without any sense for
# infinity.
COLDEST, HOTTEST = 0.05, 20.0


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Return how far the confidence is from the accuracy, in the mean over documents.

    Documents are put into bins of equal width by the probability of the class that was said; in each the mean
    confidence is compared with the accuracy (Naeini et al. 2015; Guo et al. 2017).

    Args:
        probabilities: (documents, classes); at least one document.
        labels: (documents,) class indices.
        bins: Number of bins between 0 and 1; the upper edge belongs to a bin.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(place, confidence - right, bins)).sum() / len(labels))


def with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits by a temperature: p^(1/T), made to sum to one again.

    The logits themselves are not needed, for their differences are those of the logarithms of the probabilities; so it
    is the same for a softmax, a sigmoid and whatever else gives probabilities.

    Args:
        probabilities: (documents, classes).
        temperature: Above 1: less sure; below: surer. The order of the classes stays.

    Returns:
        (documents, classes) float64.
    """
    scaled = np.log(np.maximum(probabilities.astype(np.float64), TINY)) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature between 0.05 and 20 under which held-out labels are likeliest.

    Args:
        probabilities: (documents, classes) of the validation split.
        labels: (documents,) class indices.
    """
    from scipy.optimize import minimize_scalar

    logits = np.log(np.maximum(probabilities.astype(np.float64), TINY))
    of_label = logits[np.arange(len(labels)), labels]
    highest = logits.max(axis=1)

    def nll(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        total = np.log(np.exp((logits - highest[:, None]) * inverse).sum(axis=1))
        return float((total - (of_label - highest) * inverse).mean())

    # Convex in 1/T, hence with one minimum over its logarithm.
    found = minimize_scalar(nll, bounds=(math.log(COLDEST), math.log(HOTTEST)), method="bounded")
    return math.exp(float(found.x))


def calibration_metrics(probabilities: np.ndarray, labels: np.ndarray, temperature: float) -> dict[str, float]:
    """Return the calibration error as it is, and with the temperature the error and the mean NLL (nats a document).

    Args:
        probabilities: (documents, classes), without the temperature.
        labels: (documents,) class indices.
        temperature: What the validation split chose.
    """
    calibrated = with_temperature(probabilities, temperature)
    return {
        "ece": expected_calibration_error(probabilities, labels),
        "ece_calibrated": expected_calibration_error(calibrated, labels),
        "nll_calibrated": classification_metrics(calibrated, labels)["nll"],
    }

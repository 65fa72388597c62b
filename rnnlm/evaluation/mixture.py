"""Two language models as one: their probabilities, interpolated (Jelinek & Mercer 1980)."""

import numpy as np

ROUNDS = 100  # the weight is then known to far better than it matters


def mixture_weight(first: np.ndarray, second: np.ndarray) -> float:
    """Return the first model's share in the mixture that makes a text likeliest, by expectation maximisation.

    Args:
        first: (tokens,) negative log-likelihoods of held-out text, in nats.
        second: (tokens,) those of the other model.
    """
    ratio = np.exp(np.clip(first - second, -700.0, 700.0))  # the second model's probability over the first's
    weight = 0.5
    for _ in range(ROUNDS):
        weight = float(np.mean(weight / (weight + (1.0 - weight) * ratio)))
    return weight


def mixed(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Return the negative log-likelihood of each token under the mixture: (tokens,), in nats."""
    with np.errstate(divide="ignore"):  # a weight of 0 or 1
        return np.asarray(-np.logaddexp(np.log(weight) - first, np.log1p(-weight) - second))

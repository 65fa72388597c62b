"""Good-Turing discounts with back-off (Good 1953; Katz 1987)."""

import numpy as np

from rnnlm.ngram.counts import Counts
from rnnlm.ngram.model import NgramModel

RELIABLE = 5  # counts above it are not discounted (Katz's k)
LITTLE = 1e-9  # a smaller share of probability has lost its digits to rounding


def katz(counts: Counts) -> NgramModel:
    """Estimate a model. Probability that the unigrams leave is shared equally by the tokens that were never seen."""
    possible = np.ones(counts.vocabulary.size, bool)
    if counts.vocabulary.bos is not None:
        possible[counts.vocabulary.bos] = False
    log_probabilities, log_backoffs = [], []
    lower = np.zeros(0)
    for n in range(1, counts.order + 1):
        numbers, prefix = counts.counts[n - 1], counts.prefixes(n)
        contexts = 1 if n == 1 else len(counts.keys[n - 2])
        total = np.bincount(prefix, numbers, contexts)
        discounted = numbers * good_turing(numbers)[np.minimum(numbers, RELIABLE + 1)]
        # If all counts are reliable, nothing is left for unseen tokens. Then one more token is counted.
        total += (total > 0) & (total - np.bincount(prefix, discounted, contexts) < LITTLE * total)
        probabilities = np.divide(discounted, total[prefix], out=np.zeros(len(prefix)), where=total[prefix] > 0)
        left = 1.0 - np.bincount(prefix, probabilities, contexts)
        # The probability that the shorter context gives to tokens that were not seen after this one.
        unseen = 1.0 - np.bincount(prefix, lower[counts.suffixes(n)], contexts) if n > 1 else np.zeros(1)
        if n == 1:
            never = possible & (numbers == 0)
            unseen[0] = float(never.any())
            probabilities[never] = left[0] / max(1, never.sum())
        # If every token was seen, there is no token to leave probability to.
        complete = (unseen < LITTLE) & (total > 0)
        probabilities /= np.where(complete, 1.0 - left, 1.0)[prefix]
        left = np.where(complete, LITTLE, left)
        lower = probabilities
        with np.errstate(divide="ignore"):  # tokens that are never predicted have the probability 0
            log_probabilities.append(np.log(probabilities))
        if n > 1:
            log_backoffs.append(np.log(left) - np.log(np.maximum(unseen, LITTLE)))
    return NgramModel(
        counts.vocabulary,
        counts.keys,
        tuple(log_probabilities),
        tuple(log_backoffs),
    )


def good_turing(numbers: np.ndarray) -> np.ndarray:
    """Return the factors for counts of 0 to `RELIABLE`, and for larger counts.

    If too few n-grams have a count, Katz's formula leaves the range from 0 to 1. Then a half is subtracted from that
    count.
    """
    of = [int(np.count_nonzero(numbers == r)) for r in range(RELIABLE + 2)]
    ratios = np.ones(RELIABLE + 2)
    common = (RELIABLE + 1) * of[RELIABLE + 1] / of[1] if of[1] else 1.0
    for r in range(1, RELIABLE + 1):
        good = (r + 1) * of[r + 1] / of[r] / r if of[r] else 0.0
        ratio = (good - common) / (1.0 - common) if common < 1.0 else 0.0
        ratios[r] = ratio if 0.0 < ratio <= 1.0 else (r - 0.5) / r
    return ratios

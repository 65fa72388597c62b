"""Interpolated modified Kneser-Ney smoothing (Kneser & Ney 1995; Chen & Goodman 1998; as in Heafield et al. 2013)."""

import numpy as np

from rnnlm.ngram.counts import Counts
from rnnlm.ngram.model import NgramModel

# KenLM's values for a text that is too small to estimate them (`lmplz --discount_fallback`).
FALLBACK = (0.5, 1.0, 1.5)


def kneser_ney(counts: Counts) -> NgramModel:
    """Estimate a model. Its unigrams are interpolated with the uniform distribution, so that no token is impossible."""
    adjusted = [adjusted_counts(counts, n) for n in range(1, counts.order + 1)]
    possible = np.ones(counts.vocabulary.size)
    if counts.vocabulary.bos is not None:
        adjusted[0][counts.vocabulary.bos], possible[counts.vocabulary.bos] = 0, 0.0
    lower = possible / possible.sum()
    log_probabilities, log_backoffs = [], []
    for n, numbers in enumerate(adjusted, start=1):
        prefix = counts.prefixes(n)
        contexts = 1 if n == 1 else len(counts.keys[n - 2])
        discount = np.concatenate(([0.0], discounts(numbers)))[np.minimum(numbers, 3)]
        total = np.bincount(prefix, numbers, contexts)
        known = total > 0
        taken = np.divide(np.bincount(prefix, discount, contexts), total, out=np.ones(contexts), where=known)
        shorter = np.arange(len(lower)) if n == 1 else counts.suffixes(n)
        probabilities = np.divide(numbers - discount, total[prefix], out=np.zeros(len(prefix)), where=known[prefix])
        lower = probabilities + taken[prefix] * lower[shorter]
        with np.errstate(divide="ignore"):  # tokens that are never predicted have the probability 0
            log_probabilities.append(np.log(lower))
        if n > 1:
            # A context without a continuation leaves all probability to the shorter one.
            log_backoffs.append(np.log(taken))
    return NgramModel(
        counts.vocabulary,
        counts.keys,
        tuple(log_probabilities),
        tuple(log_backoffs),
    )


def adjusted_counts(counts: Counts, order: int) -> np.ndarray:
    """Return, for each n-gram, the number of different tokens before it; for the longest n-grams, their counts.

    There is nothing before the beginning of a document, so n-grams that begin with it keep their counts.
    """
    if order == counts.order:
        return counts.counts[order - 1].copy()
    before = np.bincount(counts.suffixes(order + 1), minlength=len(counts.keys[order - 1]))
    if counts.vocabulary.bos is not None:
        begins = counts.first_tokens(order) == counts.vocabulary.bos
        return np.where(begins, counts.counts[order - 1], before)
    # The beginning of running text is not a token. An n-gram that was seen only there counts once.
    return np.maximum(before, counts.counts[order - 1] > 0)


def discounts(numbers: np.ndarray) -> tuple[float, float, float]:
    """Return the discounts of counts of 1, 2, and 3 or more, from the number of n-grams with each count."""
    once, twice, three, four = (int(np.count_nonzero(numbers == k)) for k in (1, 2, 3, 4))
    if not (once and twice and three and four):
        return FALLBACK
    y = once / (once + 2 * twice)
    found = 1 - 2 * y * twice / once, 2 - 3 * y * three / twice, 3 - 4 * y * four / three
    inside = all(0.0 < discount <= k for k, discount in enumerate(found, start=1))
    return found if inside else FALLBACK

"""An n-gram model in the back-off form that ARPA files have: one class for every way to estimate it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnlm.ngram.counts import NONE, blocks, contexts, rows
from rnnlm.tokens import Text, Vocabulary


@dataclass(frozen=True, eq=False)
class NgramModel:
    """Probability of the next token after the last `order` - 1.

    The probability of an n-gram that was seen is in its table. For any other n-gram it is the probability of the n-gram
    without its first token, times the back-off weight of its context.

    Attributes:
        vocabulary: The closed vocabulary. The token that begins a document is never predicted.
        keys: For each order the sorted keys of its n-grams, as in `Counts`.
        log_probabilities: For each order the natural logarithm of each n-gram's probability.
        log_backoffs: For each order but the highest, that of each n-gram's back-off weight as a context.
    """

    vocabulary: Vocabulary
    keys: tuple[np.ndarray, ...]
    log_probabilities: tuple[np.ndarray, ...]
    log_backoffs: tuple[np.ndarray, ...]

    @property
    def order(self) -> int:
        """The number of tokens of the longest n-grams."""
        return len(self.keys)

    def score_tokens(self, text: Text) -> np.ndarray:
        """Score each token after the tokens before it.

        Returns:
            (tokens,) negative log-likelihood in nats, float64, in the order of the text; 0 for `<bos>`, which is given.
        """
        parts = []
        for fresh, tokens, depth in blocks(text, context=self.order):
            found = rows(self.keys, self.vocabulary.size, tokens, depth)
            log = self.log_probabilities[0][tokens]
            for n in range(2, self.order + 1):
                context = contexts(found[n - 2], depth, n)
                seen = found[n - 1] != NONE
                backed_off = (context != NONE) & ~seen
                log[backed_off] += self.log_backoffs[n - 2][context[backed_off]]
                log[seen] = self.log_probabilities[n - 1][found[n - 1][seen]]
            parts.append(np.where(depth > 0, -log, 0.0)[fresh:])
        return np.concatenate(parts)

    def next_token(self, history: Sequence[int]) -> np.ndarray:
        """Return the natural logarithm of the probability of each token after a history: (vocabulary,)."""
        log = self.log_probabilities[0].copy()
        size, history = self.vocabulary.size, list(history)
        for n in range(2, min(self.order, len(history) + 1) + 1):
            last = np.array(history[-(n - 1) :])
            context = rows(self.keys[: n - 1], size, last, np.arange(n - 1))[-1][-1]
            if context == NONE:
                break  # longer contexts were not seen either
            begin, end = np.searchsorted(self.keys[n - 1], [context * size, (context + 1) * size])
            log += self.log_backoffs[n - 2][context]
            log[self.keys[n - 1][begin:end] % size] = self.log_probabilities[n - 1][begin:end]
        return log

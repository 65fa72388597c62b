"""Counting n-grams. The text may be larger than memory, but the tables of different n-grams must fit.

The n-grams of all orders form a trie. An n-gram of order n is a row in the table of that order. Its key there is

    row of its first n - 1 tokens in the table of order n - 1, times the vocabulary's size, plus its last token.

So each key fits into 64 bits for every order, and a table is a sorted array with binary search.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rnnlm.tokens import Text, Vocabulary

BLOCK = 4_000_000  # tokens of a block: about 200 MB of 64-bit keys, rows and sorted copies
NONE = -1  # no such row


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each n-gram occurs in a text.

    Attributes:
        vocabulary: The closed vocabulary. The token that begins a document is only a context, never predicted.
        keys: For each order the sorted keys of its n-grams. Those of order 1 are all tokens, seen or not.
        counts: For each order the count of each n-gram. A token that is given (`<bos>`) does not count.
    """

    vocabulary: Vocabulary
    keys: tuple[np.ndarray, ...]
    counts: tuple[np.ndarray, ...]

    @property
    def order(self) -> int:
        """The number of tokens of the longest n-grams."""
        return len(self.keys)

    def prefixes(self, order: int) -> np.ndarray:
        """Return, for each n-gram, the row of its first `order` - 1 tokens in the table of that order."""
        return self.keys[order - 1] // self.vocabulary.size

    def last_tokens(self, order: int) -> np.ndarray:
        """Return the last token of each n-gram."""
        return self.keys[order - 1] % self.vocabulary.size

    def suffixes(self, order: int) -> np.ndarray:
        """Return, for each n-gram, the row of its last `order` - 1 tokens in the table of that order."""
        if order == 2:
            return self.last_tokens(2)
        shorter = self.suffixes(order - 1)[self.prefixes(order)]
        return find(self.keys[order - 2], shorter * self.vocabulary.size + self.last_tokens(order))

    def first_tokens(self, order: int) -> np.ndarray:
        """Return the first token of each n-gram."""
        return self.keys[0] if order == 1 else self.first_tokens(order - 1)[self.prefixes(order)]


def count(text: Text, order: int) -> Counts:
    """Count all n-grams up to an order.

    Args:
        text: The text. Its ids may be memory-mapped; they are read in blocks. In running text, n-grams cross documents.
        order: Number of tokens of the longest n-grams, at least 1.
    """
    size = text.vocabulary.size
    unigrams = np.zeros(size, np.int64)
    for _, tokens, depth in blocks(text, context=0):
        unigrams += np.bincount(tokens[depth > 0], minlength=size)
    keys, counts = [np.arange(size, dtype=np.int64)], [unigrams]
    for n in range(2, order + 1):
        found = np.zeros(0, np.int64), np.zeros(0, np.int64)
        for fresh, tokens, depth in blocks(text, context=n - 1):
            prefix = contexts(rows(keys, size, tokens, depth)[-1], depth, n)[fresh:]
            seen = np.unique((prefix * size + tokens[fresh:])[prefix != NONE], return_counts=True)
            found = _merged(found, seen)
        keys.append(found[0])
        counts.append(found[1])
    return Counts(text.vocabulary, tuple(keys), tuple(counts))


def blocks(text: Text, context: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Read a text in blocks, each with the last tokens before it.

    Args:
        text: The text. Running text begins after an `<eos>`.
        context: The number of tokens before a block that are read with it.

    Yields:
        The number of tokens from before the block, the tokens, and for each token the number of tokens before it that
        are its context (0 for a token that is given and not predicted).
    """
    for start in range(0, text.n_tokens, BLOCK):
        end, first = min(start + BLOCK, text.n_tokens), max(0, start - context)
        tokens, places = text.read(first, end).astype(np.int64), np.arange(first, end)
        if not text.is_running:
            depth = places - text.starts[np.searchsorted(text.starts, places, side="right") - 1]
        else:
            depth = places + 1
            if first == 0:
                tokens, depth = np.concatenate(([text.vocabulary.eos], tokens)), np.concatenate(([0], depth))
        yield len(tokens) - (end - start), tokens, depth


def rows(
    keys: list[np.ndarray] | tuple[np.ndarray, ...], vocabulary_size: int, tokens: np.ndarray, depth: np.ndarray
) -> list[np.ndarray]:
    """Return, for each order with keys, the row of the n-gram that ends at each token; -1 if there is none."""
    found = [tokens]
    for n in range(2, len(keys) + 1):
        prefix = contexts(found[-1], depth, n)
        found.append(np.where(prefix == NONE, NONE, find(keys[n - 1], prefix * vocabulary_size + tokens)))
    return found


def contexts(shorter: np.ndarray, depth: np.ndarray, order: int) -> np.ndarray:
    """Return the row of the `order` - 1 tokens before each token; -1 if they are too few or were never seen."""
    before = np.concatenate(([NONE], shorter[:-1]))
    return np.where(depth >= order - 1, before, NONE)


def find(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the place of each wanted key in sorted keys; -1 if it is not there."""
    if len(keys) == 0:
        return np.full(len(wanted), NONE)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, NONE)


def _merged(left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Add up two tables of keys and counts."""
    keys, place = np.unique(np.concatenate((left[0], right[0])), return_inverse=True)
    total = np.zeros(len(keys), np.int64)
    np.add.at(total, place, np.concatenate((left[1], right[1])))
    return keys, total

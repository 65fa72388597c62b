"""From the source's vocabulary to the target's: shared tokens keep their rows, new ones start from the mean row."""

from dataclasses import dataclass

import numpy as np

from rnnlm.model.adaptive import group_starts
from rnnlm.model.checkpoint import Weights

# Everything that has a row for each token: the embedding, to which the softmax is tied, and the softmax bias.
BY_TOKEN = ("embedding/embeddings", "softmax_bias")
# What an adaptive softmax has for each group of rare tokens.
BY_GROUP = ("softmax_tombstones", "softmax_tombstone_bias")


@dataclass(frozen=True)
class Coverage:
    """How much of the target's vocabulary the source knows.

    Attributes:
        shared: Number of target tokens that the source has too.
        new: Number of target tokens that start from the mean row.
    """

    shared: int
    new: int


def map_vocabulary(weights: Weights, source: list[str], target: list[str]) -> tuple[Weights, Coverage]:
    """Give the weights of a model over the target's vocabulary.

    A new word's row is the mean of the source's rows: it is close to all and predicts nothing by itself, while
    small random rows could draw all the probability (Hewitt 2021). Rows and biases move together. The groups of an
    adaptive softmax are bands of frequency: each keeps its own tombstone, though not all of its tokens.

    Args:
        weights: Weights of the source model, by name.
        source: Tokens of the source's vocabulary, by id.
        target: Tokens of the target's vocabulary, by id.

    Returns:
        The weights, those by token in the order of the target's vocabulary, and the coverage.
    """
    place = {token: n for n, token in enumerate(source)}
    rows = np.array([place.get(token, -1) for token in target])
    known = rows >= 0
    mapped = dict(weights)
    for name in BY_TOKEN:
        if name in weights:
            old = weights[name]
            mean = old.mean(axis=0, dtype=np.float64).astype(old.dtype)
            new = np.broadcast_to(mean, (len(target), *old.shape[1:])).copy()
            new[known] = old[rows[known]]
            mapped[name] = new
    groups = len(group_starts(len(target)))
    for name in BY_GROUP:
        if name in mapped:
            old = mapped.pop(name)
            # A band that the source lacks is the next rarer one than its last.
            if groups:
                mapped[name] = old[np.minimum(np.arange(groups), len(old) - 1)]
    return mapped, Coverage(int(known.sum()), int((~known).sum()))

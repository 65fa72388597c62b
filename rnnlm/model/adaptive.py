"""Adaptive softmax for large vocabularies (Grave et al. 2017), tied to the embedding as in AWD-LSTM's code (Merity).

The head is a softmax over the most frequent tokens and one tombstone for each group of rarer tokens. A rare token's
probability is that of its group's tombstone, times a softmax inside the group: in training, only the rows whose target
is in a group pay for it. All tokens keep the full width, so that the embedding can stay tied.

Groups are ranges of ids: the ids of every tokenizer here go from frequent to rare (words and characters by count,
unigram by score, bpe by the order of merging, which follows the counts). An id in another group than its count deserves
costs time, never correctness.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from rnnlm.model.precision import Precision, float32
from rnnlm.model.softmax import log_normaliser_sum, tied_nll

# First id of each group, where the vocabulary reaches that far. Of the choices measured on Zipf's law (32 x 64 rows of
# 256) the fastest for 250,000 tokens, and as fast as any for 100,000. With one group above 20,000 the rarest cost
# most of the time (250,000: about three times the whole); a first cutoff of 2,000 was no faster.
# No checkpoint holds them: with other numbers a saved model would give other probabilities.
CUTOFFS = (4_000, 20_000, 60_000, 140_000)


class AdaptiveWeights(NamedTuple):
    """What gives the probabilities.

    Attributes:
        embeddings: (vocabulary, width).
        bias: (vocabulary,).
        tombstones: (groups, width).
        tombstone_bias: (groups,).
    """

    embeddings: tf.Tensor
    bias: tf.Tensor
    tombstones: tf.Tensor
    tombstone_bias: tf.Tensor


def group_starts(vocabulary: int) -> tuple[int, ...]:
    """Return the first id of each group of rare tokens; empty if the vocabulary has none."""
    return tuple(start for start in CUTOFFS if start < vocabulary)


def adaptive_cross_entropy(
    hidden: tf.Tensor,
    softmax: AdaptiveWeights,
    targets: tf.Tensor,
    weights: tf.Tensor,
    precision: Precision = "float32",
) -> tf.Tensor:
    """Return the weighted sum of negative log-likelihoods, in nats.

    Args:
        hidden: (rows, width).
        softmax: The softmax's weights.
        targets: (rows,) token ids.
        weights: (rows,) weight of each row, 0 leaves a row out; their number is known when the function is traced.
        precision: Type of the products.
    """
    (head, head_bias), *groups = _parts(softmax)
    total = log_normaliser_sum(hidden, head, head_bias, weights, precision)
    for group, (embeddings, bias) in enumerate(groups):
        rows = tf.where((_group_of(targets, softmax) == group) & (weights != 0.0))[:, 0]
        chosen, share = tf.gather(hidden, rows), tf.gather(weights, rows)
        total += log_normaliser_sum(chosen, embeddings, bias, share, precision, compiled=False)
        row, row_bias = softmax.tombstones[group], softmax.tombstone_bias[group]
        total -= tf.reduce_sum(share * (tf.linalg.matvec(float32(chosen), row) + row_bias))
    # The target's own logit is the same expression in the head and in a group.
    own = tf.reduce_sum(float32(hidden) * tf.gather(softmax.embeddings, targets), 1) + tf.gather(softmax.bias, targets)
    return total - tf.reduce_sum(weights * own)


def adaptive_nll(hidden: tf.Tensor, softmax: AdaptiveWeights, targets: tf.Tensor) -> tf.Tensor:
    """Return the exact negative log-likelihood of each row, in nats, in float32 and without a gradient.

    Args:
        hidden: (rows, width); any number of rows.
        softmax: The softmax's weights.
        targets: (rows,) token ids.
    """
    (head, head_bias), *groups = _parts(softmax)
    starts, group_of = group_starts(softmax.bias.shape[0]), _group_of(targets, softmax)
    nll = tied_nll(hidden, head, head_bias, tf.where(group_of < 0, targets, starts[0] + group_of))
    for group, (embeddings, bias) in enumerate(groups):
        rows = tf.where(group_of == group)
        inside = tied_nll(tf.gather_nd(hidden, rows), embeddings, bias, tf.gather_nd(targets, rows) - starts[group])
        nll = tf.tensor_scatter_nd_add(nll, rows, inside)
    return nll


def adaptive_log_probabilities(hidden: tf.Tensor, softmax: AdaptiveWeights) -> tf.Tensor:
    """Return the log-probability of every token: (..., width) to (..., vocabulary)."""
    first = group_starts(softmax.bias.shape[0])[0]
    head, *inside = (
        tf.nn.log_softmax(tf.einsum("...w,vw->...v", hidden, embeddings) + bias) for embeddings, bias in _parts(softmax)
    )
    groups = [head[..., first + n, None] + log_probabilities for n, log_probabilities in enumerate(inside)]
    return tf.concat([head[..., :first], *groups], -1)


def _parts(softmax: AdaptiveWeights) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Yield rows and biases of the head, tombstones last, and of each group."""
    vocabulary = softmax.bias.shape[0]
    edges = (0, *group_starts(vocabulary), vocabulary)
    sizes = [end - start for start, end in itertools.pairwise(edges)]
    # Split, not sliced: the gradient of a split is one array as large as the embedding, that of slices one each.
    rows, biases = tf.split(softmax.embeddings, sizes), tf.split(softmax.bias, sizes)
    yield tf.concat([rows[0], softmax.tombstones], 0), tf.concat([biases[0], softmax.tombstone_bias], 0)
    yield from zip(rows[1:], biases[1:], strict=True)


def _group_of(targets: tf.Tensor, softmax: AdaptiveWeights) -> tf.Tensor:
    """Return the group of each target, -1 for those in the head."""
    starts = tf.constant(group_starts(softmax.bias.shape[0]), targets.dtype)
    return tf.reduce_sum(tf.cast(targets[:, None] >= starts, targets.dtype), 1) - 1

"""Dropout with one mask for a whole window: of activations, of recurrent weights, of word types.

All masks come from a stateless generator: the same seed gives the same mask, on every machine, before and after a
training was interrupted.
"""

import tensorflow as tf

from rnnlm.model.precision import float32

# Places of the masks that share a step's seed; those of layer n are moved on by n.
WORD_TYPES, INPUT, HIDDEN, WEIGHTS, OUTPUT = 0, 1, 100, 200, 300


def locked_dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None, place: int) -> tf.Tensor:
    """Drop units with one mask for all time steps (Gal & Ghahramani 2016); `x` is (time, batch, units).

    Args:
        x: Activations.
        rate: Share of units dropped; the others are scaled up by 1 / (1 - rate).
        seed: Two integers that choose the mask; if None, nothing is dropped.
        place: Tells apart the masks that share a seed.
    """
    if seed is None or rate == 0.0:
        return x
    # In float32, and rounded after that: bfloat16 has no 1 / (1 - rate), and all units would be off by the same share.
    kept = mask(tf.stack([1, tf.shape(x)[1], tf.shape(x)[2]]), rate, seed, place)
    return tf.cast(float32(x) * kept, x.dtype)


def drop_weights(kernel: tf.Tensor, rate: float, seed: tf.Tensor | None, place: int) -> tf.Tensor:
    """Drop single recurrent weights for a whole window (DropConnect: Wan et al. 2013, Merity et al. 2018).

    The raw kernel is not touched: the result is a new tensor, and the gradient flows through it to the raw kernel.

    Args:
        kernel: (units, gates x units).
        rate: Share of weights dropped; the others are scaled up by 1 / (1 - rate).
        seed: Two integers that choose the mask; if None, nothing is dropped.
        place: Tells apart the masks that share a seed.
    """
    if seed is None or rate == 0.0:
        return kernel
    return kernel * mask(tf.shape(kernel), rate, seed, place)


def drop_word_types(
    embedded: tf.Tensor, tokens: tf.Tensor, vocabulary: int, rate: float, seed: tf.Tensor | None, place: int
) -> tf.Tensor:
    """Drop the embedding of whole word types, wherever they are in the window (Gal & Ghahramani 2016).

    It is done to what was looked up, so that a softmax tied to the embedding is not hit.

    Args:
        embedded: (time, batch, width) the looked-up embeddings.
        tokens: (time, batch) token ids.
        vocabulary: Number of tokens.
        rate: Share of word types dropped; the others are scaled up by 1 / (1 - rate).
        seed: Two integers that choose the mask; if None, nothing is dropped.
        place: Tells apart the masks that share a seed.
    """
    if seed is None or rate == 0.0:
        return embedded
    return embedded * tf.gather(mask(tf.constant([vocabulary]), rate, seed, place), tokens)[:, :, None]


def mask(shape: tf.Tensor, rate: float, seed: tf.Tensor, place: int) -> tf.Tensor:
    """Return 0 with probability `rate`, else 1 / (1 - rate)."""
    # Folded in, not added: step 5 with place 1 would else share its mask with step 6 and place 0.
    seed = tf.random.experimental.stateless_fold_in(seed, place)
    kept = tf.random.stateless_uniform(shape, seed) >= rate
    return tf.cast(kept, tf.float32) / (1.0 - rate)

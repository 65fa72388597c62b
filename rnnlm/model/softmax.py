"""Cross-entropy of a softmax whose weights are the embedding (Press & Wolf 2017; Inan et al. 2017).

The logits of a whole window (rows x vocabulary) are the largest array of the training by far. Here they are made
and used up a chunk of rows at a time, loss and gradient in the same pass, so that they are never all in memory. What
is computed over the vocabulary is the normaliser alone, log sum exp; the target's own logit is one product a row.
"""

import functools
from typing import Any

import tensorflow as tf

from rnnlm import kernel as native
from rnnlm.model.precision import Precision, float32, product_type

# Logits of a chunk, and rows at least. Each chunk makes a gradient as large as the embedding, so few rows cost time and
# memory where the vocabulary is large: 33,278 x 400 took 2.1 s and 1.9 GB with 48 MB, 2.4 s and 2.4 GB with 24 MB.
CHUNK_BYTES = 48_000_000
CHUNK_ROWS = 256
# A sum of exponentials below or above these has lost digits, or its inverse and its products would (float32 ends at
# 1e-38 and 3e38): then the rows' maxima are taken off.
SMALL, LARGE = 1e-30, 1e30


def tied_cross_entropy(
    hidden: tf.Tensor,
    embeddings: tf.Tensor,
    bias: tf.Tensor,
    targets: tf.Tensor,
    weights: tf.Tensor,
    precision: Precision = "float32",
) -> tf.Tensor:
    """Return the weighted sum of negative log-likelihoods, in nats.

    Args:
        hidden: (rows, width).
        embeddings: (vocabulary, width).
        bias: (vocabulary,).
        targets: (rows,) token ids.
        weights: (rows,) weight of each row, 0 leaves a row out; their number is known when the function is traced.
        precision: Type of the products.
    """
    if native.is_usable(precision):
        return native.softmax_sum(float32(hidden), embeddings, bias, targets, weights, precision == "bfloat16")
    logits = tf.reduce_sum(float32(hidden) * tf.gather(embeddings, targets), 1) + tf.gather(bias, targets)
    return log_normalisers(precision)(hidden, embeddings, bias, weights) - tf.reduce_sum(weights * logits)


def log_normaliser_sum(
    hidden: tf.Tensor,
    embeddings: tf.Tensor,
    bias: tf.Tensor,
    weights: tf.Tensor,
    precision: Precision,
    compiled: bool = True,
) -> tf.Tensor:
    """Return the sum of weight times log sum exp over the rows.

    Args:
        hidden: (rows, width).
        embeddings: (vocabulary, width).
        bias: (vocabulary,).
        weights: (rows,) weight of each row.
        precision: Type of the products.
        compiled: As for `log_normalisers`.
    """
    if native.is_usable(precision):
        return native.softmax_sum(float32(hidden), embeddings, bias, None, weights, precision == "bfloat16")
    return log_normalisers(precision, compiled)(hidden, embeddings, bias, weights)


def chunk_rows(vocabulary: int, precision: Precision) -> int:
    """Return the rows of a chunk of logits: a multiple of 64, the width of the products' tiles."""
    bytes_a_row: int = vocabulary * product_type(precision).size
    return max(CHUNK_ROWS, CHUNK_BYTES // bytes_a_row // 64 * 64)


@functools.cache
def log_normalisers(precision: Precision, compiled: bool = True) -> Any:
    """Return the function of (hidden, embeddings, bias, weights) that sums weight times log sum exp over the rows.

    Args:
        precision: Type of the products.
        compiled: Whether XLA compiles what it can, for the number of rows that is known when the function is traced.
            False: for any number of rows, also none, that is another one at each step; XLA would compile each.
    """
    dtype = product_type(precision)

    @tf.custom_gradient
    def sum_log_normalisers(hidden: tf.Tensor, embeddings: tf.Tensor, bias: tf.Tensor, weights: tf.Tensor) -> Any:
        chunk = chunk_rows(embeddings.shape[0], precision)
        embeddings_, hidden_ = tf.cast(embeddings, dtype), tf.cast(hidden, dtype)

        def part(start: Any, end: Any) -> Any:
            logits = tf.matmul(hidden_[start:end], embeddings_, transpose_b=True)
            log_sums, exponentials, sums = _exponentials(logits, bias, compiled)
            # The division by the sum goes into the narrow factors, not into the wide array.
            scale = (weights[start:end] / sums)[:, None]
            # The bias is a column of ones beside the hidden states. The gradient is transposed: a product with so
            # odd a number of columns (width + 1) takes a quarter longer than one with as many rows.
            narrow = tf.concat([float32(hidden[start:end]) * scale, scale], 1)
            return (
                tf.reduce_sum(weights[start:end] * log_sums),
                float32(tf.matmul(tf.cast(narrow, dtype), exponentials, transpose_a=True)),
                float32(tf.matmul(exponentials, embeddings_)) * scale,
            )

        total, dweights = tf.zeros(()), tf.zeros((embeddings.shape[1] + 1, embeddings.shape[0]))
        if compiled:
            parts = []
            for start in range(0, weights.shape[0], chunk):
                # One after the other: together, their logits and gradients would all be in memory.
                with tf.control_dependencies([dweights]):
                    loss, dweight, dpart = part(start, min(start + chunk, weights.shape[0]))
                total, dweights = total + loss, dweights + dweight
                parts.append(dpart)
            dhidden = tf.concat(parts, 0)
        else:
            rows = tf.shape(weights)[0]

            def add(start: Any, total: Any, dweights: Any, written: Any) -> Any:
                loss, dweight, dpart = part(start, tf.minimum(start + chunk, rows))
                return start + chunk, total + loss, dweights + dweight, written.write(start // chunk, dpart)

            array = tf.TensorArray(
                tf.float32, (rows + chunk - 1) // chunk, element_shape=(None, hidden.shape[1]), infer_shape=False
            )
            _, total, dweights, array = tf.while_loop(
                lambda start, *_: start < rows, add, (0, total, dweights, array), parallel_iterations=1
            )
            dhidden = array.concat()

        def gradient(upstream: tf.Tensor) -> Any:
            d = upstream * dweights
            return tf.cast(upstream * dhidden, hidden.dtype), tf.transpose(d[:-1]), d[-1], None

        return total, gradient

    return sum_log_normalisers


def _exponentials(logits: tf.Tensor, bias: tf.Tensor, compiled: bool) -> Any:
    """Return of each row log sum exp, the exponentials up to a factor, and their sum in float32.

    Without the usual pass for the maximum: logits of a language model stay far from where float32's exponential
    ends (-87 to 88). Where they do not, it is done over with the maximum taken off.
    """
    shifted = _compiled_shifted if compiled else _shifted
    zero = tf.zeros((tf.shape(logits)[0],))
    exponentials, sums = shifted(logits, bias, zero)

    def plain() -> Any:
        return tf.math.log(sums), exponentials, sums

    def with_maximum() -> Any:
        highest = tf.reduce_max(float32(logits) + bias, 1)
        exponentials, sums = shifted(logits, bias, highest)
        return tf.math.log(sums) + highest, exponentials, sums

    safe = tf.reduce_all((sums > SMALL) & (sums < LARGE))
    return tf.cond(safe, plain, with_maximum)


def _shifted(logits: tf.Tensor, bias: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    exponentials = tf.exp(float32(logits) + bias - shift[:, None])
    return tf.cast(exponentials, logits.dtype), tf.reduce_sum(exponentials, 1)


# Compiled by XLA: one pass over the wide array in place of five.
_compiled_shifted = tf.function(_shifted, jit_compile=True, autograph=False)


def tied_nll(hidden: tf.Tensor, embeddings: tf.Tensor, bias: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Return the negative log-likelihood of each row, in nats, in float32 and without a gradient.

    Args:
        hidden: (rows, width); any number of rows.
        embeddings: (vocabulary, width).
        bias: (vocabulary,).
        targets: (rows,) token ids.

    Returns:
        (rows,) negative log-likelihoods.
    """
    if native.is_usable():
        return native.softmax_nll(hidden, embeddings, bias, targets)
    rows, rows_a_chunk = tf.shape(hidden)[0], chunk_rows(embeddings.shape[0], "float32")

    def chunk(start: tf.Tensor, written: Any) -> Any:
        end = tf.minimum(start + rows_a_chunk, rows)
        logits = tf.matmul(hidden[start:end], embeddings, transpose_b=True) + bias
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets[start:end], logits=logits)
        return end, written.write(start // rows_a_chunk, nll)

    parts = (rows + rows_a_chunk - 1) // rows_a_chunk
    array = tf.TensorArray(hidden.dtype, parts, element_shape=(None,), infer_shape=False)
    _, array = tf.while_loop(lambda start, _: start < rows, chunk, (0, array), parallel_iterations=1)
    return array.concat()

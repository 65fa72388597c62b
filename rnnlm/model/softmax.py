"""Cross-entropy of a softmax whose weights are the embedding (Press & Wolf 2017; Inan et al. 2017).

The logits of a whole window (rows x vocabulary) are the largest array of the training by far. Here they are made
and used up a chunk of rows at a time, loss and gradient in the same pass, so that they stay in the cache and are
never all in memory.
"""

from typing import Any

import tensorflow as tf

CHUNK = 512  # rows; 512 x 10,000 float32 logits are 20 MB


@tf.custom_gradient
def tied_cross_entropy(
    hidden: tf.Tensor, embeddings: tf.Tensor, bias: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> Any:
    """Give the weighted sum of negative log-likelihoods.

    Args:
        hidden: (rows, width).
        embeddings: (vocabulary, width).
        bias: (vocabulary,).
        targets: (rows,) token ids; the number of rows is known when the function is traced.
        weights: (rows,) weight of each row; 0 leaves a row out.

    Returns:
        The sum over rows of weight times negative log-likelihood, in nats.
    """
    rows = targets.shape[0]
    total = tf.zeros((), hidden.dtype)
    dembeddings, dbias, dhidden = tf.zeros_like(embeddings), tf.zeros_like(bias), []
    for start in range(0, rows, CHUNK):
        part = slice(start, min(start + CHUNK, rows))
        h, w = hidden[part], weights[part, None]
        nll, dlogits = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(
            features=tf.matmul(h, embeddings, transpose_b=True) + bias, labels=targets[part]
        )
        total += tf.reduce_sum(nll * weights[part])
        # The row weights go into the narrow factors, not into the wide logits' gradient.
        dhidden.append(tf.matmul(dlogits, embeddings) * w)
        dembeddings += tf.matmul(dlogits, h * w, transpose_a=True)
        dbias += tf.reshape(tf.matmul(w, dlogits, transpose_a=True), (-1,))
    dhidden = tf.concat(dhidden, 0)

    def gradient(upstream: tf.Tensor) -> Any:
        return upstream * dhidden, upstream * dembeddings, upstream * dbias, None, None

    return total, gradient


def tied_nll(hidden: tf.Tensor, embeddings: tf.Tensor, bias: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Give the negative log-likelihood of each row, in nats, without a gradient.

    Args:
        hidden: (rows, width); any number of rows from 1.
        embeddings: (vocabulary, width).
        bias: (vocabulary,).
        targets: (rows,) token ids.

    Returns:
        (rows,) negative log-likelihoods.
    """
    rows = tf.shape(hidden)[0]

    def chunk(start: tf.Tensor, written: Any) -> Any:
        end = tf.minimum(start + CHUNK, rows)
        logits = tf.matmul(hidden[start:end], embeddings, transpose_b=True) + bias
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets[start:end], logits=logits)
        return end, written.write(start // CHUNK, nll)

    parts = (rows + CHUNK - 1) // CHUNK
    array = tf.TensorArray(hidden.dtype, parts, element_shape=(None,), infer_shape=False)
    _, array = tf.while_loop(lambda start, _: start < rows, chunk, (0, array), parallel_iterations=1)
    return array.concat()

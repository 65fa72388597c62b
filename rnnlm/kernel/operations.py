"""The kernels as functions of tensors, with their gradients; all tensors are in float32."""

from typing import Any

import tensorflow as tf

from rnnlm.kernel.library import kernel


def _resets(keep: tf.Tensor | None) -> tf.Tensor:
    """Return what the kernels take for `keep`: an empty tensor is an input that is not there."""
    return tf.zeros((0, 0, 1)) if keep is None else keep


def _ids(ids: tf.Tensor | None) -> tf.Tensor:
    """Return what the kernels take for `ids`."""
    return tf.zeros((0, 0), tf.int32) if ids is None else ids


def _shaped(gradients: Any, inputs: Any) -> tuple[tf.Tensor, ...]:
    """Return gradients with the shapes of what they are gradients of."""
    for gradient, of in zip(gradients, inputs, strict=True):
        gradient.set_shape(of.shape)
    return tuple(gradients)


def lstm(
    x: tf.Tensor,
    weights: list[tf.Tensor],
    state: tuple[tf.Tensor, ...],
    keep: tf.Tensor | None,
    training: bool,
    bfloat16: bool = False,
    ids: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Run an LSTM layer over a sequence.

    Args:
        x: (time, batch, width).
        weights: Kernel (width, 4 units), recurrent kernel (units, 4 units) and bias (4 units), gates in Keras' order.
        state: Output and cell before the first step, each (batch, units).
        keep: (time, batch, 1), 0 where the state is reset before a step and 1 elsewhere; if None, never reset.
        training: Whether a gradient may be taken.
        bfloat16: Whether the factors of products are rounded to bfloat16; sums and results are in float32 all the same.
        ids: (time, batch), which row of `x`, then (rows, width), each step reads. A row that is read often is
            multiplied once. Only without a gradient, in float32. If None, `x` has a row for each step.

    Returns:
        The outputs (time, batch, units), and the last cell (batch, units).
    """
    operations, units = kernel().operations, weights[1].shape[0]
    resets, read = _resets(keep), _ids(ids)
    shape = tf.TensorShape([*(x if ids is None else ids).shape[:2], units])
    if not training:
        h, cells, _ = operations.rnnlm_lstm(x, *weights, *state, resets, read, round_factors=bfloat16)
        h.set_shape(shape)
        cells.set_shape([1, *shape[1:]])
        return h, cells[-1]

    @tf.custom_gradient
    def with_gradient(x: tf.Tensor, *inputs: tf.Tensor) -> Any:
        h, cells, gates = operations.rnnlm_lstm(x, *inputs, resets, read, training=True, round_factors=bfloat16)
        h.set_shape(shape)
        cells.set_shape(shape)

        def gradient(dh: tf.Tensor, dcell: tf.Tensor) -> Any:
            found = operations.rnnlm_lstm_gradient(
                x, *inputs, resets, h, cells, gates, dh, dcell, round_factors=bfloat16
            )
            return _shaped(found, (x, *inputs))

        return (h, cells[-1]), gradient

    outputs, cell = with_gradient(x, *weights, *state)
    return outputs, cell


def gru(
    x: tf.Tensor,
    weights: list[tf.Tensor],
    state: tuple[tf.Tensor, ...],
    keep: tf.Tensor | None,
    training: bool,
    bfloat16: bool = False,
    ids: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Run a GRU layer over a sequence.

    Args:
        x: (time, batch, width).
        weights: Kernel (width, 3 units), recurrent kernel (units, 3 units) and bias (2, 3 units), gates in Keras'
            order.
        state: Output before the first step, (batch, units).
        keep: (time, batch, 1), 0 where the state is reset before a step and 1 elsewhere; if None, never reset.
        training: Whether a gradient may be taken.
        bfloat16: As for `lstm`.
        ids: As for `lstm`.

    Returns:
        The outputs (time, batch, units), and the last one (batch, units).
    """
    operations, units = kernel().operations, weights[1].shape[0]
    resets, read = _resets(keep), _ids(ids)
    shape = tf.TensorShape([*(x if ids is None else ids).shape[:2], units])

    def outputs_and_gates(*inputs: tf.Tensor) -> Any:
        h, gates = operations.rnnlm_gru(*inputs, resets, read, training=training, round_factors=bfloat16)
        h.set_shape(shape)
        return h, gates

    @tf.custom_gradient
    def with_gradient(*inputs: tf.Tensor) -> Any:
        h, gates = outputs_and_gates(*inputs)

        def gradient(dh: tf.Tensor) -> Any:
            found = operations.rnnlm_gru_gradient(*inputs, resets, h, gates, dh, round_factors=bfloat16)
            return _shaped(found, inputs)

        return h, gradient

    h = with_gradient(x, *weights, *state) if training else outputs_and_gates(x, *weights, *state)[0]
    return h, h[-1]


def softmax_sum(
    hidden: tf.Tensor,
    embeddings: tf.Tensor,
    bias: tf.Tensor,
    targets: tf.Tensor | None,
    weights: tf.Tensor,
    bfloat16: bool = False,
) -> tf.Tensor:
    """Return the weighted sum of the rows' negative log-likelihoods, in nats.

    Args:
        hidden: (rows, width).
        embeddings: (vocabulary, width).
        bias: (vocabulary,).
        targets: (rows,) token ids; if None, log sum exp alone is summed, without the targets' logits.
        weights: (rows,) weight of each row.
        bfloat16: Whether the factors of products are rounded to bfloat16.
    """
    operations = kernel().operations
    targets = tf.zeros((0,), tf.int32) if targets is None else targets

    @tf.custom_gradient
    def with_gradient(hidden: tf.Tensor, embeddings: tf.Tensor, bias: tf.Tensor) -> Any:
        nll, *found = operations.rnnlm_softmax(
            hidden, embeddings, bias, targets, weights, training=True, round_factors=bfloat16
        )
        derivatives = _shaped(found, (hidden, embeddings, bias))
        return tf.reduce_sum(nll * weights), lambda upstream: tuple(upstream * derivative for derivative in derivatives)

    return with_gradient(hidden, embeddings, bias)


def softmax_nll(hidden: tf.Tensor, embeddings: tf.Tensor, bias: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Return the negative log-likelihood of each row, in nats, without a gradient.

    Args:
        hidden: (rows, width).
        embeddings: (vocabulary, width).
        bias: (vocabulary,).
        targets: (rows,) token ids.
    """
    weights = tf.ones_like(targets, tf.float32)
    nll, *_ = kernel().operations.rnnlm_softmax(hidden, embeddings, bias, targets, weights)
    nll.set_shape(targets.shape)
    return nll


@tf.custom_gradient
def pooling(forget: tf.Tensor, added: tf.Tensor, before: tf.Tensor) -> Any:
    """Run `c[t] = forget[t] * c[t - 1] + added[t]` over time, (time, batch, units), from `before` (batch, units)."""
    operations = kernel().operations
    cells = operations.rnnlm_pooling(forget, added, before)
    cells.set_shape(forget.shape)

    def gradient(dcells: tf.Tensor) -> Any:
        found = operations.rnnlm_pooling_gradient(forget, added, before, cells, dcells)
        return _shaped(found, (forget, added, before))

    return cells, gradient

"""cuDNN's kernel of the LSTM: the same equations and the same weights, on NVIDIA's GPUs."""

import tensorflow as tf


def is_usable() -> bool:
    """Return whether there is a GPU that cuDNN runs on (a GPU of another maker has no such kernel)."""
    return bool(tf.config.get_visible_devices("GPU")) and tf.test.is_built_with_cuda()


def lstm(
    inputs: tf.Tensor, kernel: tf.Tensor, recurrent: tf.Tensor, bias: tf.Tensor, h0: tf.Tensor, c0: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Run over a sequence; all in float32.

    Args:
        inputs: (time, batch, width).
        kernel: (width, 4 units), gates in Keras' order.
        recurrent: (units, 4 units).
        bias: (4 units,).
        h0: (batch, units) output before the first step.
        c0: (batch, units) cell before the first step.

    Returns:
        The outputs (time, batch, units), and output and cell after the last step.
    """
    steps, batch = tf.shape(inputs)[0], tf.shape(inputs)[1]
    outputs, h, c, _, _ = tf.raw_ops.CudnnRNNV3(
        input=inputs,
        input_h=h0[None],  # one layer
        input_c=c0[None],
        params=packed_weights(kernel, recurrent, bias),
        sequence_lengths=tf.fill([batch], steps),
        rnn_mode="lstm",
        is_training=True,  # without it there is no gradient
    )
    return outputs, h[0], c[0]


def packed_weights(kernel: tf.Tensor, recurrent: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Return the weights as the flat array that cuDNN reads.

    Its gates come in Keras' order: i, f, g, o. One block a gate, first of the kernel, then of the recurrent kernel,
    each (units, input) where Keras has (input, units); then the biases. cuDNN adds a bias to each of the two
    products; the first is zero here.
    """
    blocks = [tf.transpose(gate) for weights in (kernel, recurrent) for gate in tf.split(weights, 4, axis=1)]
    return tf.concat([*(tf.reshape(block, [-1]) for block in blocks), tf.zeros_like(bias), bias], axis=0)

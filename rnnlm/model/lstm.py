"""The LSTM: a Keras layer with Keras' weights and gate order, on a kernel written for TensorFlow on a CPU.

The kernel does what Keras' generic loop does not: the input projection of all time steps is one matrix product,
and a backward pass derived by hand gathers each weight gradient in one product after the loop instead of adding
up a small one at each step. Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.
"""

from typing import Any

import keras
import tensorflow as tf

State = tuple[tf.Tensor, tf.Tensor]


class LSTM(keras.layers.Layer):
    """One LSTM layer over time-major sequences, with the state passed in and out.

    The weights are those of `keras.layers.LSTM`: `kernel` (input, 4 units), `recurrent_kernel` (units, 4 units),
    `bias` (4 units), gates in the order input, forget, candidate, output.

    Args:
        units: Width of the output and of the state.
        seed: Seed of the initial weights.
    """

    def __init__(self, units: int, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of width `input_shape[-1]`."""
        width = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(width, 4 * self.units), initializer=keras.initializers.GlorotUniform(self.seed), name="kernel"
        )
        # One orthogonal block a gate: a single (units, 4 units) matrix would make the gates' norms uneven.
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, 4 * self.units),
            initializer=lambda shape, dtype: keras.ops.concatenate(
                [
                    keras.initializers.Orthogonal(seed=self.seed + 1 + gate)((shape[0], shape[0]), dtype)
                    for gate in range(4)
                ],
                axis=1,
            ),
            name="recurrent_kernel",
        )
        # A forget gate that starts open (bias 1) lets gradients through from the first step: Jozefowicz et al. 2015.
        self.bias = self.add_weight(
            shape=(4 * self.units,),
            initializer=lambda shape, dtype: keras.ops.concatenate(
                [
                    keras.ops.zeros(self.units, dtype),
                    keras.ops.ones(self.units, dtype),
                    keras.ops.zeros(2 * self.units, dtype),
                ]
            ),
            name="bias",
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, state: State | None = None, keep: tf.Tensor | None = None) -> Any:
        """Run over a sequence.

        Args:
            inputs: (time, batch, width).
            state: Output and cell before the first step, each (batch, units); none: zeros.
            keep: (time, batch, 1), 0 where the state is reset before a step and 1 elsewhere; none: never reset.

        Returns:
            The outputs (time, batch, units), and the state after the last step.
        """
        if state is None:
            zeros = tf.zeros((tf.shape(inputs)[1], self.units), inputs.dtype)
            state = (zeros, zeros)
        if keep is None:
            keep = tf.ones((tf.shape(inputs)[0], 1, 1), inputs.dtype)
        weights = [tf.convert_to_tensor(w) for w in (self.kernel, self.recurrent_kernel, self.bias)]
        outputs, cell = _sequence(inputs, *weights, *state, keep)
        return outputs, (outputs[-1], cell)


def _sigmoids_first(weights: tf.Tensor) -> tf.Tensor:
    """Reorder gates from Keras' i, f, g, o to i, f, o, g, so that one sigmoid covers three gates side by side."""
    i, f, g, o = tf.split(weights, 4, axis=-1)
    return tf.concat([i, f, o, g], axis=-1)


def _candidate_third(weights: tf.Tensor) -> tf.Tensor:
    """Undo `_sigmoids_first`."""
    i, f, o, g = tf.split(weights, 4, axis=-1)
    return tf.concat([i, f, g, o], axis=-1)


@tf.custom_gradient
def _sequence(
    x: tf.Tensor,
    kernel: tf.Tensor,
    recurrent: tf.Tensor,
    bias: tf.Tensor,
    h0: tf.Tensor,
    c0: tf.Tensor,
    keep: tf.Tensor,
) -> Any:
    """Run the LSTM; return all outputs (time, batch, units) and the last cell (batch, units)."""
    steps, batch, width = tf.shape(x)[0], tf.shape(x)[1], x.shape[2]
    units = recurrent.shape[0]
    kernel_, recurrent_, bias_ = (_sigmoids_first(w) for w in (kernel, recurrent, bias))
    projected = tf.reshape(tf.matmul(tf.reshape(x, (-1, width)), kernel_) + bias_, (steps, batch, 4 * units))

    def array(size: int) -> tf.TensorArray:
        return tf.TensorArray(x.dtype, steps, element_shape=(None, size))

    def step(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, hs: Any, cs: Any, gates: Any) -> Any:
        h, c = h * keep[t], c * keep[t]
        z = projected[t] + tf.matmul(h, recurrent_)
        sigmoids, g = tf.sigmoid(z[:, : 3 * units]), tf.tanh(z[:, 3 * units :])
        i, f, o = tf.split(sigmoids, 3, axis=1)
        c = f * c + i * g
        h = o * tf.tanh(c)
        return t + 1, h, c, hs.write(t, h), cs.write(t, c), gates.write(t, tf.concat([sigmoids, g], 1))

    loop = tf.while_loop(
        lambda t, *_: t < steps, step, (0, h0, c0, array(units), array(units), array(4 * units)), parallel_iterations=1
    )
    cell = loop[2]
    hs, cs, gates = (written.stack() for written in loop[3:])

    def gradient(dhs: tf.Tensor, dcell: tf.Tensor) -> Any:
        recurrent_t = tf.transpose(recurrent_)
        tanh_cs = tf.tanh(cs)
        c_before = tf.concat([c0[None], cs[:-1]], 0) * keep
        h_before = tf.concat([h0[None], hs[:-1]], 0) * keep

        def step_back(t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, dzs: Any) -> Any:
            i, f, o, g = tf.split(gates[t], 4, axis=1)
            dh = dh + dhs[t]
            dc = dc + dh * o * (1.0 - tanh_cs[t] ** 2)
            dz = tf.concat(
                [
                    dc * g * i * (1.0 - i),
                    dc * c_before[t] * f * (1.0 - f),
                    dh * tanh_cs[t] * o * (1.0 - o),
                    dc * i * (1.0 - g**2),
                ],
                axis=1,
            )
            return t - 1, tf.matmul(dz, recurrent_t) * keep[t], dc * f * keep[t], dzs.write(t, dz)

        _, dh0, dc0, dzs = tf.while_loop(
            lambda t, *_: t >= 0,
            step_back,
            (steps - 1, tf.zeros_like(h0), dcell, array(4 * units)),
            parallel_iterations=1,
        )
        dz = tf.reshape(dzs.stack(), (-1, 4 * units))
        dx = tf.reshape(tf.matmul(dz, kernel_, transpose_b=True), tf.shape(x))
        dkernel = tf.matmul(tf.reshape(x, (-1, width)), dz, transpose_a=True)
        drecurrent = tf.matmul(tf.reshape(h_before, (-1, units)), dz, transpose_a=True)
        dweights = [_candidate_third(w) for w in (dkernel, drecurrent, tf.reduce_sum(dz, 0))]
        return dx, *dweights, dh0, dc0, None

    return (hs, cell), gradient

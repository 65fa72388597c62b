"""The LSTM: a Keras layer with Keras' weights and gate order, on a kernel written for TensorFlow on a CPU.

The kernel does what Keras' generic loop does not: the input projection of all time steps is one matrix product,
and a backward pass derived by hand gathers each weight gradient in one product after the loop instead of adding
up a small one at each step. Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000.
"""

import functools
from typing import Any

import keras
import tensorflow as tf

from rnnlm import kernel as native
from rnnlm.model import cudnn
from rnnlm.model.dropout import WEIGHTS, drop_weights
from rnnlm.model.initial import orthogonal_gates
from rnnlm.model.precision import Precision, float32, product_type
from rnnlm.seeds import derived
from rnnlm.settings import Dropout

State = tuple[tf.Tensor, ...]


class LSTM(keras.layers.Layer):
    """One LSTM layer over time-major sequences, with the state passed in and out.

    The weights are those of `keras.layers.LSTM`: `kernel` (input, 4 units), `recurrent_kernel` (units, 4 units),
    `bias` (4 units), gates in the order input, forget, candidate, output.

    Args:
        units: Width of the output and of the state.
        seed: Seed of the initial weights.
    """

    def __init__(self, units: int, seed: int, **kwargs: Any) -> None:
        # Keras would turn the bfloat16 of the layer before into float32, and TensorFlow's products turn it back.
        super().__init__(autocast=False, **kwargs)
        self.units = units
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of width `input_shape[-1]`."""
        width = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(width, 4 * self.units),
            initializer=keras.initializers.GlorotUniform(derived(self.seed, "kernel")),
            name="kernel",
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, 4 * self.units),
            initializer=orthogonal_gates(4, self.seed),
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

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Widths of the state's parts: output and cell."""
        return self.units, self.units

    @property
    def looks_up(self) -> bool:
        """Whether an evaluation in float32 may read rows of a table by ids: each that occurs is multiplied once."""
        return native.is_usable() and not cudnn.is_usable()

    def drop(self, dropout: Dropout, seed: tf.Tensor | None, layer: int, shape: tf.Tensor) -> tf.Tensor:  # noqa: ARG002
        """Return the recurrent kernel of a window, without the weights that are dropped in it.

        Args:
            dropout: What is dropped.
            seed: Two integers that choose the weights; if None, it is an evaluation, and nothing is dropped.
            layer: Which layer it is, from 0.
            shape: Time steps and rows of the window.
        """
        return drop_weights(tf.convert_to_tensor(self.recurrent_kernel), dropout.weight, seed, WEIGHTS + layer)

    def call(
        self,
        inputs: tf.Tensor,
        state: State | None = None,
        keep: tf.Tensor | None = None,
        dropped: tf.Tensor | None = None,
        precision: Precision = "float32",
        training: bool = True,
        ids: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, State]:
        """Run over a sequence.

        Args:
            inputs: (time, batch, width).
            state: Output and cell before the first step, each (batch, units) in float32; if None, zeros.
            keep: (time, batch, 1), 0 where the state is reset before a step and 1 elsewhere; if None, never reset.
            dropped: What `drop` returns, in place of the layer's own recurrent kernel; if None, nothing is dropped.
            precision: Type of the products.
            training: Whether a gradient may be taken; where not, what only it needs is neither kept nor written.
            ids: (time, batch), which row of `inputs`, then (rows, width), each step reads, if the layer `looks_up`; if
                None, `inputs` has a row for each step.

        Returns:
            The outputs (time, batch, units), and the state after the last step.
        """
        if state is None:
            state = tuple(tf.zeros((tf.shape(inputs if ids is None else ids)[1], width)) for width in self.state_widths)
        recurrent = self.recurrent_kernel if dropped is None else dropped
        weights = [tf.convert_to_tensor(w) for w in (self.kernel, recurrent, self.bias)]
        # cuDNN knows no reset inside a sequence.
        if keep is None and precision == "float32" and cudnn.is_usable():
            outputs, h, cell = cudnn.lstm(inputs, *weights, *state)
            return outputs, (h, cell)
        if native.is_usable(precision):
            bfloat16 = precision == "bfloat16"
            outputs, cell = native.lstm(float32(inputs), weights, state, keep, training, bfloat16, ids)
        elif keep is None:
            outputs, cell = _sequence(precision, reset=False, training=training)(inputs, *weights, *state)
        else:
            outputs, cell = _sequence(precision, reset=True, training=training)(inputs, *weights, *state, keep)
        return outputs, (float32(outputs[-1]), cell)


def _sigmoids_first(weights: tf.Tensor) -> tf.Tensor:
    """Reorder gates from Keras' i, f, g, o to i, f, o, g, so that one sigmoid covers three gates side by side."""
    i, f, g, o = tf.split(weights, 4, axis=-1)
    return tf.concat([i, f, o, g], axis=-1)


def _candidate_third(weights: tf.Tensor) -> tf.Tensor:
    """Undo `_sigmoids_first`."""
    i, f, o, g = tf.split(weights, 4, axis=-1)
    return tf.concat([i, f, g, o], axis=-1)


@functools.cache
def _sequence(precision: Precision, reset: bool, training: bool) -> Any:
    """Return the function that runs the LSTM and returns all outputs (time, batch, units) and the last cell.

    A gradient written by hand must know what is a tensor and what is not, so the rest is fixed here.
    """
    dtype = product_type(precision)

    def sequence(
        x: tf.Tensor,
        kernel: tf.Tensor,
        recurrent: tf.Tensor,
        bias: tf.Tensor,
        h0: tf.Tensor,
        c0: tf.Tensor,
        *resets: tf.Tensor,
    ) -> Any:
        steps, batch, width = tf.shape(x)[0], tf.shape(x)[1], x.shape[2]
        units = recurrent.shape[0]
        kernel_, recurrent_, bias_ = (_sigmoids_first(tf.cast(w, dtype)) for w in (kernel, recurrent, bias))
        rows = tf.reshape(tf.cast(x, dtype), (-1, width))
        projected = tf.reshape(tf.nn.bias_add(tf.matmul(rows, kernel_), bias_), (steps, batch, 4 * units))
        # Where nothing is reset, neither is multiplied by a one at each step.
        keep = resets[0] if reset else tf.ones((1,))
        keep_ = tf.cast(keep, dtype)

        def array(kind: tf.DType, size: int) -> tf.TensorArray:
            return tf.TensorArray(kind, steps, element_shape=(None, size))

        def step(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, hs: Any, *kept: Any) -> Any:
            if reset:
                h, c = h * keep_[t], c * keep[t]
            z = float32(tf.matmul(h, recurrent_)) + float32(projected[t])
            i, f, o = tf.split(tf.sigmoid(z[:, : 3 * units]), 3, axis=1)
            c = f * c + i * tf.tanh(z[:, 3 * units :])
            h = tf.cast(o * tf.tanh(c), dtype)
            for_gradient = (c, tf.cast(z, dtype)) if training else ()
            written = (steps_of.write(t, x) for steps_of, x in zip(kept, for_gradient, strict=True))
            return t + 1, h, c, hs.write(t, h), *written

        h0_ = tf.cast(h0, dtype)
        for_gradient = (array(tf.float32, units), array(dtype, 4 * units)) if training else ()
        loop = tf.while_loop(
            lambda t, *_: t < steps, step, (0, h0_, c0, array(dtype, units), *for_gradient), parallel_iterations=1
        )
        last_cell = loop[2]
        hs, *kept = (written.stack() for written in loop[3:])

        def gradient(dhs: tf.Tensor, dcell: tf.Tensor) -> Any:
            cs, zs = kept
            # All that does not depend on the gradient of the next step is computed for the whole sequence at once:
            # dz = (dc, dc, dh, dc) * slope, with dc gathering dh * h_by_c on its way back.
            i, f, o = tf.split(tf.sigmoid(float32(zs[:, :, : 3 * units])), 3, axis=2)
            g, tanh_cs = tf.tanh(float32(zs[:, :, 3 * units :])), tf.tanh(cs)
            h_before, c_before = tf.concat([h0_[None], hs[:-1]], 0), tf.concat([c0[None], cs[:-1]], 0)
            if reset:
                h_before, c_before = h_before * keep_, c_before * keep
            slope = tf.concat(
                [g * i * (1.0 - i), c_before * f * (1.0 - f), tanh_cs * o * (1.0 - o), i * (1.0 - g**2)], 2
            )
            h_by_c = o * (1.0 - tanh_cs**2)
            forget = f * keep if reset else f
            recurrent_t = tf.transpose(recurrent_)

            def step_back(t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, dzs: Any) -> Any:
                dh = float32(dh) + float32(dhs[t])
                dc = dc + dh * h_by_c[t]
                dz = tf.cast(tf.concat([dc, dc, dh, dc], 1) * slope[t], dtype)
                dh = tf.matmul(dz, recurrent_t)
                return t - 1, dh * keep_[t] if reset else dh, dc * forget[t], dzs.write(t, dz)

            _, dh0, dc0, dzs = tf.while_loop(
                lambda t, *_: t >= 0,
                step_back,
                (steps - 1, tf.zeros_like(h0_), dcell, array(dtype, 4 * units)),
                parallel_iterations=1,
            )
            dz = tf.reshape(dzs.stack(), (-1, 4 * units))
            dx = tf.cast(tf.reshape(tf.matmul(dz, kernel_, transpose_b=True), tf.shape(x)), x.dtype)
            dkernel = tf.matmul(rows, dz, transpose_a=True)
            drecurrent = tf.matmul(tf.reshape(h_before, (-1, units)), dz, transpose_a=True)
            # As a product: the sum over rows is then in float32 whatever the type of dz.
            dbias = tf.matmul(tf.ones((1, tf.shape(dz)[0]), dtype), dz)[0]
            dweights = [_candidate_third(float32(w)) for w in (dkernel, drecurrent, dbias)]
            return dx, *dweights, float32(dh0), dc0, *[None for _ in resets]

        return (hs, last_cell), gradient

    return tf.custom_gradient(sequence) if training else lambda *inputs: sequence(*inputs)[0]

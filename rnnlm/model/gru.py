"""The GRU: a Keras layer with Keras' weights and gate order, on a kernel written like the LSTM's.

Cho et al. 2014 in the form that cuDNN computes (`keras.layers.GRU(reset_after=True)`): the reset gate is applied after
the recurrent product, so that this is one product a step.
"""

import functools
from typing import Any

import keras
import tensorflow as tf

from rnnlm import kernel as native
from rnnlm.model.dropout import WEIGHTS, drop_weights
from rnnlm.model.initial import orthogonal_gates
from rnnlm.model.lstm import State
from rnnlm.model.precision import Precision, float32, product_type
from rnnlm.seeds import derived
from rnnlm.settings import Dropout


class GRU(keras.layers.Layer):
    """One GRU layer over time-major sequences, with the state passed in and out.

    The weights are those of `keras.layers.GRU`: `kernel` (input, 3 units), `recurrent_kernel` (units, 3 units),
    `bias` (2, 3 units), one row for each of the two products; gates in the order update, reset, candidate.

    Args:
        units: Width of the output and of the state.
        seed: Seed of the initial weights.
    """

    def __init__(self, units: int, seed: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # as for the LSTM
        self.units = units
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of width `input_shape[-1]`."""
        width = input_shape[-1]
        self.kernel = self.add_weight(
            shape=(width, 3 * self.units),
            initializer=keras.initializers.GlorotUniform(derived(self.seed, "kernel")),
            name="kernel",
        )
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, 3 * self.units),
            initializer=orthogonal_gates(3, self.seed),
            name="recurrent_kernel",
        )
        self.bias = self.add_weight(shape=(2, 3 * self.units), initializer="zeros", name="bias")
        super().build(input_shape)

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Widths of the state's parts: the output alone."""
        return (self.units,)

    @property
    def looks_up(self) -> bool:
        """Whether an evaluation in float32 may read rows of a table by ids: each that occurs is multiplied once."""
        return native.is_usable()

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
            state: Output before the first step, (batch, units) in float32; if None, zeros.
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
        if native.is_usable(precision):
            bfloat16 = precision == "bfloat16"
            outputs, last = native.gru(float32(inputs), weights, state, keep, training, bfloat16, ids)
        elif keep is None:
            outputs, last = _sequence(precision, reset=False, training=training)(inputs, *weights, *state)
        else:
            outputs, last = _sequence(precision, reset=True, training=training)(inputs, *weights, *state, keep)
        return outputs, (last,)


@functools.cache
def _sequence(precision: Precision, reset: bool, training: bool) -> Any:
    """Return the function that runs the GRU and returns all outputs (time, batch, units) and the last in float32.

    A gradient written by hand must know what is a tensor and what is not, so the rest is fixed here.
    """
    dtype = product_type(precision)

    def sequence(
        x: tf.Tensor, kernel: tf.Tensor, recurrent: tf.Tensor, bias: tf.Tensor, h0: tf.Tensor, *resets: tf.Tensor
    ) -> Any:
        steps, batch, width = tf.shape(x)[0], tf.shape(x)[1], x.shape[2]
        units = recurrent.shape[0]
        kernel_, recurrent_ = tf.cast(kernel, dtype), tf.cast(recurrent, dtype)
        # Where a gate only adds up the two products, both biases go into the first; the candidate's second bias
        # goes through the reset gate.
        first, second = bias[0] + tf.concat([bias[1, : 2 * units], tf.zeros(units)], 0), bias[1, 2 * units :]
        rows = tf.reshape(tf.cast(x, dtype), (-1, width))
        projected = tf.nn.bias_add(tf.matmul(rows, kernel_), tf.cast(first, dtype))
        projected = tf.reshape(projected, (steps, batch, 3 * units))
        # Where nothing is reset, nothing is multiplied by a one at each step.
        keep = resets[0] if reset else tf.ones((1,))

        def array(kind: tf.DType, size: int) -> tf.TensorArray:
            return tf.TensorArray(kind, steps, element_shape=(None, size))

        def gates(p: tf.Tensor, product: tf.Tensor) -> tuple[tf.Tensor, ...]:
            """Return update gate, reset gate, candidate, and what the reset gate is applied to."""
            p, product = float32(p), float32(product)
            z, r = tf.split(tf.sigmoid(p[..., : 2 * units] + product[..., : 2 * units]), 2, axis=-1)
            n = product[..., 2 * units :] + second
            return z, r, tf.tanh(p[..., 2 * units :] + r * n), n

        # The state stays in float32 from step to step: it is a memory, and a rounding at each step would add up.
        def step(t: tf.Tensor, h: tf.Tensor, hs: Any, *kept: Any) -> Any:
            if reset:
                h = h * keep[t]
            product = tf.matmul(tf.cast(h, dtype), recurrent_)
            z, _, g, _ = gates(projected[t], product)
            h = g + z * (h - g)
            return t + 1, h, hs.write(t, h), *(products.write(t, product) for products in kept)

        for_gradient = (array(dtype, 3 * units),) if training else ()
        loop = tf.while_loop(
            lambda t, *_: t < steps, step, (0, h0, array(tf.float32, units), *for_gradient), parallel_iterations=1
        )
        last = loop[1]
        hs, *kept = (written.stack() for written in loop[2:])

        def gradient(dhs: tf.Tensor, dlast: tf.Tensor) -> Any:
            (products,) = kept
            # All that does not depend on the gradient of the next step is computed for the whole sequence at once:
            # the gradient of the recurrent product is (dh, dh, dh) * slope.
            z, r, g, n = gates(projected, products)
            h_before = tf.concat([h0[None], hs[:-1]], 0)
            if reset:
                h_before = h_before * keep
            by_candidate = (1.0 - z) * (1.0 - g**2)
            by_update, by_reset = (h_before - g) * z * (1.0 - z), by_candidate * n * r * (1.0 - r)
            slope = tf.concat([by_update, by_reset, by_candidate * r], 2)
            carried = z * keep if reset else z
            recurrent_t = tf.transpose(recurrent_)

            def step_back(t: tf.Tensor, dh: tf.Tensor, dproducts: Any, all_dh: Any) -> Any:
                dh = dh + float32(dhs[t])
                dproduct = tf.cast(tf.concat([dh, dh, dh], 1) * slope[t], dtype)
                back = float32(tf.matmul(dproduct, recurrent_t))
                back = back * keep[t] if reset else back
                return t - 1, dh * carried[t] + back, dproducts.write(t, dproduct), all_dh.write(t, dh)

            _, dh0, dproducts, all_dh = tf.while_loop(
                lambda t, *_: t >= 0,
                step_back,
                (steps - 1, dlast, array(dtype, 3 * units), array(tf.float32, units)),
                parallel_iterations=1,
            )
            dproducts = dproducts.stack()
            # The input's part of the candidate does not go through the reset gate.
            dcandidate = tf.cast(all_dh.stack() * by_candidate, dtype)
            dprojected = tf.reshape(tf.concat([dproducts[:, :, : 2 * units], dcandidate], 2), (-1, 3 * units))
            dproducts = tf.reshape(dproducts, (-1, 3 * units))
            dx = tf.cast(tf.reshape(tf.matmul(dprojected, kernel_, transpose_b=True), tf.shape(x)), x.dtype)
            dkernel = tf.matmul(rows, dprojected, transpose_a=True)
            drecurrent = tf.matmul(tf.reshape(tf.cast(h_before, dtype), (-1, units)), dproducts, transpose_a=True)
            # As a product: the sum over rows is then in float32 whatever the type of the gradients.
            ones = tf.ones((1, tf.shape(rows)[0]), dtype)
            dbias = tf.concat([tf.matmul(ones, dprojected), tf.matmul(ones, dproducts)], 0)
            return dx, *(float32(w) for w in (dkernel, drecurrent, dbias)), dh0, *[None for _ in resets]

        return (tf.cast(hs, dtype), last), gradient

    return tf.custom_gradient(sequence) if training else lambda *inputs: sequence(*inputs)[0]

"""The QRNN: gates from a convolution over the inputs alone, and a recurrence without a product.

Bradbury et al. 2017 (fo-pooling), as in AWD-QRNN (Merity et al. 2018) and MultiFiT (Eisenschlos et al. 2019). Only
`c = f * c + (1 - f) * z` waits for the step before; the products of all time steps are one.
"""

from typing import Any

import keras
import tensorflow as tf

from rnnlm import kernel as native
from rnnlm.model.dropout import WEIGHTS, drop_weights, mask
from rnnlm.model.lstm import State
from rnnlm.model.precision import Precision, float32, product_type
from rnnlm.seeds import derived
from rnnlm.settings import Dropout

ZONEOUT = 400  # place of the mask of layer 0, beside those of rnnlm.model.dropout


class QRNN(keras.layers.Layer):
    """One QRNN layer over time-major sequences, with the state passed in and out.

    The weights are `kernel` (window x input, 3 units), the rows of the present input first and then those of the input
    before, and `bias` (3 units); gates in the order candidate, forget, output.

    Args:
        units: Width of the output and of the state.
        seed: Seed of the initial weights.
        window: Number of inputs that a step sees: 1 or 2.
    """

    def __init__(self, units: int, seed: int, window: int = 1, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # as for the LSTM
        self.units = units
        self.seed = seed
        self.window = window

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of width `input_shape[-1]`."""
        (self.width,) = (width for width in input_shape[-1:] if width is not None)
        self.kernel = self.add_weight(
            shape=(self.window * self.width, 3 * self.units),
            initializer=keras.initializers.GlorotUniform(derived(self.seed, "kernel")),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(3 * self.units,), initializer="zeros", name="bias")
        super().build(input_shape)

    @property
    def state_widths(self) -> tuple[int, ...]:
        """Widths of the state's parts: the cell, and with a window of two the last input."""
        return (self.units,) if self.window == 1 else (self.units, self.width)

    @property
    def looks_up(self) -> bool:
        """As of the LSTM, but the inputs are multiplied together with those of the step before."""
        return False

    def drop(self, dropout: Dropout, seed: tf.Tensor | None, layer: int, shape: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the kernel of a window without the weights that are dropped in it, and the mask of zoneout.

        Zoneout drops units of the forget gate's complement, so that they keep their cell: `f = 1 - mask * (1 - f)`. In
        evaluation the complement is scaled by the share that is kept, as the mask is not scaled in training.

        Args:
            dropout: What is dropped.
            seed: Two integers that choose the masks; if None, it is an evaluation, and nothing is dropped.
            layer: Which layer it is, from 0.
            shape: Time steps and rows of the window.
        """
        kernel = drop_weights(tf.convert_to_tensor(self.kernel), dropout.weight, seed, WEIGHTS + layer)
        if dropout.zoneout == 0.0:
            return (kernel,)
        kept = 1.0 - dropout.zoneout
        if seed is None:
            return kernel, tf.constant(kept)
        # Other dropouts scale up what they keep.
        return kernel, kept * mask(tf.concat([shape, [self.units]], 0), dropout.zoneout, seed, ZONEOUT + layer)

    def call(
        self,
        inputs: tf.Tensor,
        state: State | None = None,
        keep: tf.Tensor | None = None,
        dropped: tuple[tf.Tensor, ...] | None = None,
        precision: Precision = "float32",
        training: bool = True,  # noqa: ARG002  (of all cells; here nothing is kept for the gradient alone)
    ) -> tuple[tf.Tensor, State]:
        """Run over a sequence.

        Args:
            inputs: (time, batch, width).
            state: Cell before the first step, (batch, units) in float32, and with a window of two the input before it,
                (batch, width); if None, zeros.
            keep: (time, batch, 1), 0 where the state is reset before a step and 1 elsewhere; if None, never reset.
            dropped: What `drop` returns; if None, nothing is dropped.
            precision: Type of the products.
            training: Whether a gradient may be taken; the same is computed without one.

        Returns:
            The outputs (time, batch, units) in the type of the products, and the state after the last step.
        """
        dtype = product_type(precision)
        if state is None:
            state = tuple(tf.zeros((tf.shape(inputs)[1], width)) for width in self.state_widths)
        kernel, *zoneout = dropped if dropped is not None else (tf.convert_to_tensor(self.kernel),)
        x = tf.cast(inputs, dtype)
        seen = x
        if self.window == 2:
            before = tf.concat([tf.cast(state[1], dtype)[None], x[:-1]], 0)
            # What was read before a reset is not seen after it.
            seen = tf.concat([x, before if keep is None else before * tf.cast(keep, dtype)], 2)
        steps, batch = tf.shape(x)[0], tf.shape(x)[1]
        rows = tf.reshape(seen, (-1, self.window * self.width))
        gates = float32(tf.matmul(rows, tf.cast(kernel, dtype))) + tf.convert_to_tensor(self.bias)
        z, f, o = tf.split(tf.reshape(gates, (steps, batch, 3 * self.units)), 3, axis=2)
        update = tf.sigmoid(-f)  # 1 - f
        if zoneout:
            update = update * zoneout[0]
        forget = 1.0 - update if keep is None else (1.0 - update) * keep
        pool = native.pooling if native.is_usable() else _pool
        cells = pool(forget, update * tf.tanh(z), state[0])
        outputs = tf.cast(tf.sigmoid(o) * cells, dtype)
        last = (cells[-1],) if self.window == 1 else (cells[-1], float32(inputs[-1]))
        return outputs, last


@tf.custom_gradient
def _pool(forget: tf.Tensor, new: tf.Tensor, before: tf.Tensor) -> Any:
    """Run `c[t] = forget[t] * c[t - 1] + new[t]` over time, (time, batch, units) in float32, from `before`."""
    steps = tf.shape(forget)[0]

    def array() -> tf.TensorArray:
        return tf.TensorArray(tf.float32, steps, element_shape=(None, forget.shape[2]))

    def step(t: tf.Tensor, c: tf.Tensor, cs: Any) -> Any:
        c = forget[t] * c + new[t]
        return t + 1, c, cs.write(t, c)

    *_, written = tf.while_loop(lambda t, *_: t < steps, step, (0, before, array()), parallel_iterations=1)
    cells = written.stack()

    def gradient(dcells: tf.Tensor) -> Any:
        def step_back(t: tf.Tensor, dc: tf.Tensor, all_dc: Any) -> Any:
            dc = dc + dcells[t]
            return t - 1, dc * forget[t], all_dc.write(t, dc)

        _, dbefore, back = tf.while_loop(
            lambda t, *_: t >= 0, step_back, (steps - 1, tf.zeros_like(before), array()), parallel_iterations=1
        )
        dnew = back.stack()
        return dnew * tf.concat([before[None], cells[:-1]], 0), dnew, dbefore

    return cells, gradient

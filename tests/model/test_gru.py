from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnnlm.model.gru import GRU

pytestmark = [
    pytest.mark.usefixtures("computed_by"),
    pytest.mark.parametrize("computed_by", ["native", "tensorflow"], indirect=True),
]

TIME, BATCH, WIDTH, UNITS = 7, 3, 5, 4


def make_layer() -> GRU:
    """A layer whose biases are not zero, as after some training."""
    layer = GRU(UNITS, seed=3)
    layer.build((None, None, WIDTH))
    layer.bias.assign(np.random.default_rng(5).normal(size=(2, 3 * UNITS)))
    return layer


@pytest.fixture
def layer() -> GRU:
    return make_layer()


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(TIME, BATCH, WIDTH)).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def reference(
    x: np.ndarray, weights: list[np.ndarray], keep: np.ndarray | None = None, state: np.ndarray | None = None
) -> np.ndarray:
    """The GRU's equations in float64, one step and one gate at a time (gates z, r, candidate)."""
    kernel, recurrent, bias = weights
    units = recurrent.shape[0]
    h = np.zeros((x.shape[1], units)) if state is None else state
    (w_z, w_r, w_g), (r_z, r_r, r_g) = (np.split(w, 3, axis=1) for w in (kernel, recurrent))
    (a_z, a_r, a_g), (b_z, b_r, b_g) = (np.split(b, 3) for b in bias)
    outputs = []
    for t in range(len(x)):
        if keep is not None:
            h = h * keep[t]
        z = sigmoid(x[t] @ w_z + a_z + h @ r_z + b_z)
        r = sigmoid(x[t] @ w_r + a_r + h @ r_r + b_r)
        g = np.tanh(x[t] @ w_g + a_g + r * (h @ r_g + b_g))
        h = z * h + (1.0 - z) * g
        outputs.append(h)
    return np.stack(outputs)


def derivatives(function: Callable[..., Any], arguments: list[np.ndarray]) -> list[np.ndarray]:
    """Gradient of a real function by complex steps: f(x + ih) = f(x) + ih f'(x), without a difference's lost digits."""
    gradients = []
    for n, argument in enumerate(arguments):
        gradient = np.zeros(argument.shape)
        for place in np.ndindex(argument.shape):
            moved = [a.astype(np.complex128) for a in arguments]
            moved[n][place] += 1e-30j
            gradient[place] = function(*moved).imag / 1e-30
        gradients.append(gradient)
    return gradients


def arrays(layer: GRU) -> list[np.ndarray]:
    return [np.array(w, np.float64) for w in (layer.kernel, layer.recurrent_kernel, layer.bias)]


def test_forward_agrees_with_a_float64_reference(layer: GRU, inputs: np.ndarray) -> None:
    outputs, (h,) = layer(inputs)
    expected = reference(inputs, arrays(layer))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    np.testing.assert_allclose(h, expected[-1], atol=1e-6)


def test_the_same_weights_give_the_same_as_keras(layer: GRU, inputs: np.ndarray) -> None:
    """Outputs, and the gradients of the inputs and of each weight."""
    theirs = keras.layers.GRU(UNITS, return_sequences=True, reset_after=True)
    theirs.build((None, None, WIDTH))
    theirs.set_weights(arrays(layer))
    x = tf.constant(inputs)
    runs: list[tuple[Callable[[], tf.Tensor], list[Any]]] = [
        (lambda: layer(x)[0], [layer.kernel, layer.recurrent_kernel, layer.bias]),
        (lambda: tf.transpose(theirs(tf.transpose(x, (1, 0, 2))), (1, 0, 2)), theirs.trainable_variables),
    ]
    results = []
    for run, variables in runs:
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = run()
            loss = tf.reduce_sum(tf.sin(3.0 * outputs))  # no two outputs have the same gradient
        results.append([outputs, *tape.gradient(loss, [x, *(v.value for v in variables)])])
    for mine, keras_ in zip(*results, strict=True):
        np.testing.assert_allclose(mine, keras_, atol=1e-5)


def some_resets() -> np.ndarray:
    keep = np.ones((TIME, BATCH, 1), np.float32)
    keep[3, 1] = keep[0, 2] = keep[5, 2] = 0.0
    return keep


@pytest.mark.parametrize("keep", [None, some_resets()])
def test_every_gradient_agrees_with_a_float64_reference(
    layer: GRU, inputs: np.ndarray, keep: np.ndarray | None
) -> None:
    """Of inputs, weights and the state before, through the outputs and the state after."""
    generator = np.random.default_rng(1)
    up, up_h = generator.normal(size=(TIME, BATCH, UNITS)), generator.normal(size=(BATCH, UNITS))
    state = generator.normal(size=(BATCH, UNITS)).astype(np.float32)

    def loss(x: np.ndarray, kernel: Any, recurrent: Any, bias: Any, h0: np.ndarray) -> Any:
        outputs = reference(x, [kernel, recurrent, bias], keep, h0)
        return (outputs * up).sum() + (outputs[-1] * up_h).sum()

    expected = derivatives(loss, [inputs, *arrays(layer), state])
    x, h0 = tf.constant(inputs), tf.constant(state)
    with tf.GradientTape() as tape:
        tape.watch([x, h0])
        outputs, (h,) = layer(x, (h0,), None if keep is None else tf.constant(keep))
        found_loss = tf.reduce_sum(outputs * up.astype("float32")) + tf.reduce_sum(h * up_h.astype("float32"))
    weights = [layer.kernel.value, layer.recurrent_kernel.value, layer.bias.value]
    for found, right in zip(tape.gradient(found_loss, [x, *weights, h0]), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=5e-6)


def test_every_gradient_agrees_with_automatic_differentiation_of_a_plain_loop() -> None:
    """At a real layer's size, with resets and with a recurrent kernel that stands in for the layer's own."""
    layer, generator = GRU(64, seed=3), np.random.default_rng(2)
    layer.build((None, None, 48))
    layer.bias.assign(generator.normal(size=(2, 3 * 64)))
    keep = (generator.random((30, 8, 1)) > 0.1).astype(np.float64)
    dropped = np.array(layer.recurrent_kernel) * (generator.random((64, 3 * 64)) > 0.5)
    x, h0, up, up_h = (
        tf.constant(generator.normal(size=s), tf.float32) for s in ((30, 8, 48), (8, 64), (30, 8, 64), (8, 64))
    )
    arguments = [x, layer.kernel.value, tf.constant(dropped), layer.bias.value, h0]

    def plain() -> Any:
        x, kernel, recurrent, bias, h = (tf.cast(a, tf.float64) for a in arguments)
        outputs = []
        for t in range(30):
            h = h * keep[t]
            a, b = tf.split(x[t] @ kernel + bias[0], 3, axis=1), tf.split(h @ recurrent + bias[1], 3, axis=1)
            z, r = tf.sigmoid(a[0] + b[0]), tf.sigmoid(a[1] + b[1])
            h = z * h + (1.0 - z) * tf.tanh(a[2] + r * b[2])
            outputs.append(h)
        return tf.stack(outputs), (h,)

    def own() -> Any:
        return layer(x, (h0,), tf.constant(keep, tf.float32), arguments[2])

    results = []
    for run in (own, plain):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            outputs, (last,) = tf.nest.map_structure(lambda a: tf.cast(a, tf.float32), run())
            loss = tf.reduce_sum(outputs * up) + tf.reduce_sum(last * up_h)
        results.append([outputs, *tape.gradient(loss, arguments)])
    for found, expected in zip(*results, strict=True):
        assert tf.norm(found - expected) < 2e-6 * tf.norm(expected)


def test_a_slow_memory_is_not_rounded_away_in_bfloat16() -> None:
    """An update gate that is nearly shut changes the state by less than bfloat16 can add: the state must be wider."""
    layer = GRU(1, seed=3)
    layer.build((None, None, 1))
    for weight in (layer.kernel, layer.recurrent_kernel):
        weight.assign(tf.zeros_like(weight))
    layer.bias.assign([[8.0, 0.0, 9.0], [0.0, 0.0, 0.0]])  # z = 0.99966, candidate 1
    _, (h,) = layer(tf.zeros((600, 1, 1)), (tf.ones((1, 1)) * 0.5,), precision="bfloat16")
    z = sigmoid(np.array(8.0))
    assert float(h[0, 0]) == pytest.approx(1.0 - 0.5 * z**600, abs=1e-3)


def test_each_gate_has_an_orthogonal_recurrent_kernel() -> None:
    layer = GRU(UNITS, seed=3)
    layer.build((None, None, WIDTH))
    for block in np.split(np.array(layer.recurrent_kernel), 3, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(UNITS), atol=1e-5)

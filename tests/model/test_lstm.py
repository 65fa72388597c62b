from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnnlm.model.lstm import LSTM

pytestmark = [
    pytest.mark.usefixtures("computed_by"),
    pytest.mark.parametrize("computed_by", ["native", "tensorflow"], indirect=True),
]

TIME, BATCH, WIDTH, UNITS = 7, 3, 5, 4


def make_layer() -> LSTM:
    layer = LSTM(UNITS, seed=3)
    layer.build((None, None, WIDTH))
    return layer


@pytest.fixture
def layer() -> LSTM:
    return make_layer()


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(TIME, BATCH, WIDTH)).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def reference(
    x: np.ndarray,
    weights: list[np.ndarray],
    keep: np.ndarray | None = None,
    state: tuple[np.ndarray, ...] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The LSTM's equations in float64, one step and one gate at a time (gates i, f, g, o)."""
    kernel, recurrent, bias = weights
    h, c = state or (np.zeros((x.shape[1], recurrent.shape[0])),) * 2
    outputs = []
    for t in range(len(x)):
        if keep is not None:
            h, c = h * keep[t], c * keep[t]
        z = x[t] @ kernel + h @ recurrent + bias
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), c


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


def arrays(layer: LSTM) -> list[np.ndarray]:
    return [np.array(w, np.float64) for w in (layer.kernel, layer.recurrent_kernel, layer.bias)]


def test_forward_agrees_with_a_float64_reference(layer: LSTM, inputs: np.ndarray) -> None:
    outputs, (h, c) = layer(inputs)
    expected, cell = reference(inputs, arrays(layer))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    np.testing.assert_allclose(h, expected[-1], atol=1e-6)
    np.testing.assert_allclose(c, cell, atol=1e-6)


def test_the_same_weights_give_the_same_as_keras(layer: LSTM, inputs: np.ndarray) -> None:
    """Outputs, and the gradients of the inputs and of each weight."""
    theirs = keras.layers.LSTM(UNITS, return_sequences=True)
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
    layer: LSTM, inputs: np.ndarray, keep: np.ndarray | None
) -> None:
    """Of inputs, weights and the state before, through the outputs and both parts of the state after."""
    generator = np.random.default_rng(1)
    up, up_h, up_c = (generator.normal(size=s) for s in ((TIME, BATCH, UNITS), (BATCH, UNITS), (BATCH, UNITS)))
    state = [generator.normal(size=(BATCH, UNITS)).astype(np.float32) for _ in range(2)]
    layer.bias.assign(generator.normal(size=4 * UNITS))

    def loss(x: np.ndarray, kernel: Any, recurrent: Any, bias: Any, h0: np.ndarray, c0: np.ndarray) -> Any:
        outputs, cell = reference(x, [kernel, recurrent, bias], keep, (h0, c0))
        return (outputs * up).sum() + (outputs[-1] * up_h).sum() + (cell * up_c).sum()

    expected = derivatives(loss, [inputs, *arrays(layer), *state])
    x, h0, c0 = map(tf.constant, (inputs, *state))
    with tf.GradientTape() as tape:
        tape.watch([x, h0, c0])
        outputs, (h, c) = layer(x, (h0, c0), None if keep is None else tf.constant(keep))
        found_loss = tf.add_n(
            [tf.reduce_sum(a * b.astype("float32")) for a, b in ((outputs, up), (h, up_h), (c, up_c))]
        )
    weights = [layer.kernel.value, layer.recurrent_kernel.value, layer.bias.value]
    for found, right in zip(tape.gradient(found_loss, [x, *weights, h0, c0]), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=5e-6)


def test_the_forget_gate_starts_open(layer: LSTM) -> None:
    i, f, g, o = np.split(np.array(layer.bias), 4)
    assert (f == 1.0).all()
    assert not np.concatenate([i, g, o]).any()


def test_each_gate_has_an_orthogonal_recurrent_kernel(layer: LSTM) -> None:
    for block in np.split(np.array(layer.recurrent_kernel), 4, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(UNITS), atol=1e-5)

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnnlm.model.lstm import LSTM

TIME, BATCH, WIDTH, UNITS = 7, 3, 5, 4


@pytest.fixture
def layer() -> LSTM:
    layer = LSTM(UNITS, seed=3)
    layer.build((None, None, WIDTH))
    return layer


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(TIME, BATCH, WIDTH)).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def reference(
    x: np.ndarray, weights: list[np.ndarray], keep: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The LSTM's equations in float64, one step and one gate at a time (gates i, f, g, o)."""
    kernel, recurrent, bias = (w.astype(np.float64) for w in weights)
    h = c = np.zeros((x.shape[1], recurrent.shape[0]))
    outputs = []
    for t in range(len(x)):
        if keep is not None:
            h, c = h * keep[t], c * keep[t]
        z = x[t].astype(np.float64) @ kernel + h @ recurrent + bias
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), c


def arrays(layer: LSTM) -> list[np.ndarray]:
    return [np.array(w) for w in (layer.kernel, layer.recurrent_kernel, layer.bias)]


def test_forward_agrees_with_a_float64_reference(layer: LSTM, inputs: np.ndarray) -> None:
    outputs, (h, c) = layer(inputs)
    expected, cell = reference(inputs, arrays(layer))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    np.testing.assert_allclose(h, expected[-1], atol=1e-6)
    np.testing.assert_allclose(c, cell, atol=1e-6)


def test_the_same_weights_give_the_same_as_keras(layer: LSTM, inputs: np.ndarray) -> None:
    theirs = keras.layers.LSTM(UNITS, return_sequences=True)
    theirs.build((None, None, WIDTH))
    theirs.set_weights(arrays(layer))
    outputs, _ = layer(inputs)
    np.testing.assert_allclose(outputs, np.transpose(theirs(np.transpose(inputs, (1, 0, 2))), (1, 0, 2)), atol=1e-6)


def test_gradients_agree_with_automatic_differentiation(layer: LSTM, inputs: np.ndarray) -> None:
    """Every input's gradient, the states' and the last cell's among them, against TensorFlow's own of a plain loop."""
    generator = np.random.default_rng(1)
    x, upstream = tf.constant(inputs), tf.constant(generator.normal(size=(TIME, BATCH, UNITS)).astype(np.float32))
    h0, c0, upstream_c = (tf.constant(generator.normal(size=(BATCH, UNITS)).astype(np.float32)) for _ in range(3))
    keep = np.ones((TIME, BATCH, 1), np.float32)
    keep[3, 1] = keep[0, 2] = 0.0
    weights = [w.value for w in (layer.kernel, layer.recurrent_kernel, layer.bias)]

    with tf.GradientTape() as tape:
        tape.watch([x, h0, c0])
        outputs, (_, cell) = layer(x, (h0, c0), tf.constant(keep))
        loss = tf.reduce_sum(outputs * upstream) + tf.reduce_sum(cell * upstream_c)
    found = tape.gradient(loss, [x, h0, c0, *weights])

    with tf.GradientTape() as tape:
        tape.watch([x, h0, c0])
        h, c, plain_loss = h0, c0, 0.0
        for t in range(TIME):
            h, c = h * keep[t], c * keep[t]
            i, f, g, o = tf.split(x[t] @ weights[0] + h @ weights[1] + weights[2], 4, axis=1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
            plain_loss += tf.reduce_sum(h * upstream[t])
        plain_loss += tf.reduce_sum(c * upstream_c)
    expected = tape.gradient(plain_loss, [x, h0, c0, *weights])

    assert float(loss) == pytest.approx(float(plain_loss), rel=1e-5)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-5)


def test_state_carried_over_two_windows_equals_one_long_window(layer: LSTM, inputs: np.ndarray) -> None:
    whole, (_, cell) = layer(inputs)
    first, state = layer(inputs[:4])
    second, (_, cell_after) = layer(inputs[4:], state)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-6)
    np.testing.assert_allclose(cell_after, cell, atol=1e-6)


def test_a_reset_forgets_all_before_it(layer: LSTM, inputs: np.ndarray) -> None:
    keep = np.ones((TIME, BATCH, 1), np.float32)
    keep[4] = 0.0
    outputs, _ = layer(inputs, None, tf.constant(keep))
    alone, _ = layer(inputs[4:])
    np.testing.assert_allclose(outputs[4:], alone, atol=1e-6)
    np.testing.assert_allclose(outputs, reference(inputs, arrays(layer), keep)[0], atol=1e-6)


def test_the_forget_gate_starts_open(layer: LSTM) -> None:
    i, f, g, o = np.split(np.array(layer.bias), 4)
    assert (f == 1.0).all()
    assert not np.concatenate([i, g, o]).any()


def test_each_gate_has_an_orthogonal_recurrent_kernel(layer: LSTM) -> None:
    for block in np.split(np.array(layer.recurrent_kernel), 4, axis=1):
        np.testing.assert_allclose(block @ block.T, np.eye(UNITS), atol=1e-5)

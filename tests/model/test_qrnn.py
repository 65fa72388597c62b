"""The QRNN's own equations; what it shares with the other cells is in test_cells.py."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from rnnlm.model.qrnn import QRNN
from rnnlm.settings import Dropout, Model

pytestmark = [
    pytest.mark.usefixtures("computed_by"),
    pytest.mark.parametrize("computed_by", ["native", "tensorflow"], indirect=True),
]

TIME, BATCH, WIDTH, UNITS = 7, 3, 5, 4
NOTHING = {"input": 0.0, "hidden": 0.0, "output": 0.0}


def make_layer(window: int, width: int = WIDTH, units: int = UNITS) -> QRNN:
    layer = QRNN(units, seed=3, window=window)
    layer.build((None, None, width))
    layer.bias.assign(np.random.default_rng(5).normal(size=(3 * units,)))
    return layer


def reference(
    x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, cell: Any, last: Any, keep: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """The equations of Bradbury et al. 2017 in float64, a step at a time: z, f, o of the inputs of a window."""
    outputs, width = [], x.shape[2]
    for t in range(len(x)):
        cell, last = cell * keep[t], last * keep[t]
        gates = x[t] @ kernel[:width] + bias
        if len(kernel) > width:
            gates = gates + last @ kernel[width:]
        z, f, o = np.split(gates, 3, axis=1)
        f, o = 1.0 / (1.0 + np.exp(-f)), 1.0 / (1.0 + np.exp(-o))
        f = 1.0 - mask[t] * (1.0 - f)
        cell = f * cell + (1.0 - f) * np.tanh(z)
        last = x[t]
        outputs.append(o * cell)
    return np.stack(outputs)


def some_resets() -> np.ndarray:
    keep = np.ones((TIME, BATCH, 1), np.float32)
    keep[3, 1] = keep[0, 2] = keep[5, 2] = 0.0
    return keep


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("keep", [None, some_resets()])
@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_outputs_and_gradients_agree_with_a_float64_reference(
    window: int, keep: np.ndarray | None, rate: float
) -> None:
    """Of inputs, weights and the state before; the gradients by complex steps, which lose no digits."""
    layer, generator = make_layer(window), np.random.default_rng(1)
    inputs = generator.normal(size=(TIME, BATCH, WIDTH)).astype(np.float32)
    state = [generator.normal(size=(BATCH, width)).astype(np.float32) for width in layer.state_widths]
    up = generator.normal(size=(TIME, BATCH, UNITS))
    kept = np.ones((TIME, BATCH, 1)) if keep is None else keep
    settings, seed = Dropout(**NOTHING, zoneout=rate), tf.constant([1, 2])
    shape = tf.constant([TIME, BATCH])
    mask = np.array(layer.drop(settings, seed, 0, shape)[1]) if rate else np.ones((TIME, BATCH, UNITS))

    def loss(x: Any, kernel: Any, bias: Any, cell: Any, last: Any = 0.0) -> Any:
        return (reference(x, kernel, bias, cell, last, kept, mask) * up).sum()

    arguments: list[Any] = [inputs, np.array(layer.kernel, np.float64), np.array(layer.bias, np.float64), *state]
    expected = []
    for n, argument in enumerate(arguments):
        gradient = np.zeros(argument.shape)
        for place in np.ndindex(argument.shape):
            moved = [a.astype(np.complex128) for a in arguments]
            moved[n][place] += 1e-30j
            gradient[place] = loss(*moved).imag / 1e-30
        expected.append(gradient)

    x, *before = (tf.constant(value) for value in (inputs, *state))
    with tf.GradientTape() as tape:
        tape.watch([x, *before])
        dropped = layer.drop(settings, seed, 0, shape)
        outputs, _ = layer(x, tuple(before), None if keep is None else tf.constant(keep), dropped=dropped)
        found_loss = tf.reduce_sum(outputs * up.astype(np.float32))
    last = state[1] if window == 2 else 0.0
    x_, kernel, bias = arguments[:3]
    right = reference(x_, kernel, bias, state[0], last, kept, mask)
    np.testing.assert_allclose(outputs, right, atol=1e-6)
    found = tape.gradient(found_loss, [x, layer.kernel.value, layer.bias.value, *before])
    for mine, independent in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, independent, atol=5e-6)


def test_zoneout_keeps_units_in_training_and_scales_in_evaluation() -> None:
    dropout, seed, shape = Dropout(**NOTHING, zoneout=0.3), tf.constant([1, 2]), tf.constant([50, 40])
    layer = make_layer(1)
    _, training = layer.drop(dropout, seed, 0, shape)
    assert training.shape == (50, 40, UNITS)
    assert set(np.unique(np.round(training, 6))) == {0.0, 1.0}
    assert np.mean(training) == pytest.approx(0.7, abs=0.03)  # 8,000 units: standard deviation 0.005
    assert (np.array(layer.drop(dropout, seed, 1, shape)[1]) != np.array(training)).any()
    _, evaluation = layer.drop(dropout, None, 0, shape)
    assert float(evaluation) == pytest.approx(0.7)
    assert len(layer.drop(Dropout(**NOTHING), None, 0, shape)) == 1


def test_all_weights_of_a_layer_may_be_dropped() -> None:
    layer, shape = make_layer(2, 40, 30), tf.constant([5, 3])
    dropout = Dropout(**NOTHING, weight=0.5)
    (kernel,) = layer.drop(dropout, tf.constant([1, 2]), 0, shape)
    assert (np.array(kernel) == 0.0).mean() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(layer.drop(dropout, None, 0, shape)[0], layer.kernel)


def test_zoneout_of_another_cell_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dropout\.zoneout: the cell lstm has none"):
        Model(dropout=Dropout(zoneout=0.1))
    assert Model(cell="qrnn", dropout=Dropout(zoneout=0.1)).dropout.zoneout == 0.1

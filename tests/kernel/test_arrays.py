"""The kernels on NumPy arrays, beside the same ones as TensorFlow's operations."""

import numpy as np
import pytest
import tensorflow as tf

from rnnlm import kernel
from rnnlm.kernel import arrays
from rnnlm.kernel.arrays import Quantized

if not kernel.is_usable():
    pytest.skip("the kernels were not compiled", allow_module_level=True)

STEPS, BATCH, WIDTH, UNITS = 5, 3, 20, 33


def some(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 0.3, shape).astype(np.float32)


@pytest.mark.parametrize("gates", [3, 4])
def test_layers_are_those_of_the_operations(gates: int) -> None:
    lstm = gates == 4
    weights = some(WIDTH, gates * UNITS), some(UNITS, gates * UNITS), some(4 * UNITS) if lstm else some(2, 3 * UNITS)
    state = tuple(some(BATCH, UNITS) for _ in range(gates - 2))
    x = some(STEPS, BATCH, 2 * WIDTH)[:, :, ::2]  # not one piece of memory
    found = (arrays.lstm if lstm else arrays.gru)(x, weights, state)
    tensors = [tf.constant(array) for array in weights], tuple(tf.constant(part) for part in state)
    right = (kernel.lstm if lstm else kernel.gru)(tf.constant(x), *tensors, None, training=False)
    for mine, other in zip(found, right, strict=False):
        np.testing.assert_array_equal(mine, other.numpy())


def test_logits_are_a_product() -> None:
    hidden, embeddings, bias = some(4, WIDTH), some(50, WIDTH), some(50)
    right = hidden.astype(np.float64) @ embeddings.T + bias
    np.testing.assert_allclose(arrays.logits(hidden, embeddings, bias), right, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_quantized_numbers_are_off_by_half_a_step_at_most(axis: int) -> None:
    matrix = some(50, WIDTH)
    matrix[3] = matrix[:, 2] = 0.0
    narrow = Quantized.of(matrix, axis)
    scales = np.expand_dims(narrow.scales, axis)
    assert np.all(np.abs(narrow.numbers * scales - matrix) <= scales * 0.5001)
    assert np.abs(narrow.numbers).max() == 127
    if axis == 1:
        np.testing.assert_allclose(arrays.rows(narrow, np.array([[4, 7]])), matrix[None, [4, 7]], atol=0.01)


def test_arrays_that_do_not_fit_are_refused() -> None:
    weights = some(WIDTH, 4 * UNITS), some(UNITS, 4 * UNITS), some(4 * UNITS)
    x, state = some(STEPS, BATCH, WIDTH), (some(BATCH, UNITS), some(BATCH, UNITS))
    with pytest.raises(ValueError, match="shapes"):
        arrays.lstm(x[:, :, 1:], weights, state)
    with pytest.raises(ValueError, match="shapes"):
        arrays.lstm(x, weights, (state[0], some(BATCH + 1, UNITS)))
    with pytest.raises(ValueError, match="shapes"):
        arrays.gru(x, weights, state[:1])
    with pytest.raises(ValueError, match="shape"):
        arrays.logits(some(2, WIDTH), some(9, WIDTH + 1), some(9))
    with pytest.raises(TypeError, match="x is of the type float64"):
        arrays.lstm(x.astype(np.float64), weights, state)
    with pytest.raises(TypeError, match="kernel is of the type float64"):
        arrays.lstm(x, (weights[0].astype(np.float64), *weights[1:]), state)
    with pytest.raises(TypeError, match="one of the kernels is in int8"):
        arrays.lstm(x, (Quantized.of(weights[0], 0), *weights[1:]), state)
    by_row = Quantized.of(weights[0], 1), Quantized.of(weights[1], 1)
    with pytest.raises(ValueError, match="scales"):
        arrays.lstm(x, (*by_row, weights[2]), state)
    with pytest.raises(ValueError, match="scales"):
        arrays.logits(some(2, WIDTH), Quantized.of(some(9, WIDTH), 0), some(9))
    with pytest.raises(TypeError, match="embeddings is of the type float16"):
        arrays.logits(some(2, WIDTH), some(9, WIDTH).astype(np.float16), some(9))

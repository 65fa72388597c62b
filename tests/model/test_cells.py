"""What every recurrent cell does. A new one is added to `CELLS` in rnnlm/model/encoder.py, and tried here."""

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as arrays_of

from rnnlm.model.encoder import CELLS, Encoder
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import Dropout, LanguageModelTraining, Model
from rnnlm.training.batches import Window
from rnnlm.training.step import LanguageModelStep

pytestmark = [
    pytest.mark.usefixtures("computed_by"),
    pytest.mark.parametrize("computed_by", ["native", "tensorflow"], indirect=True),
]

TIME, BATCH, WIDTH, UNITS = 7, 3, 5, 4

# A first layer and one above it, of each cell.
every_layer = pytest.mark.parametrize("n", [0, 1])
every_cell = pytest.mark.parametrize("cell", CELLS)


def make_layer(cell: str, n: int, width: int = WIDTH, units: int = UNITS) -> Any:
    """Return a layer whose biases are not zero, as after some training."""
    layer = CELLS[cell](units, 3, n)
    layer.build((None, None, width))
    layer.bias.assign(np.random.default_rng(5).normal(size=layer.bias.shape))
    return layer


def some_inputs(width: int = WIDTH, shape: tuple[int, int] = (TIME, BATCH)) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(*shape, width)).astype(np.float32)


def some_state(layer: Any, rows: int = BATCH) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(1)
    return tuple(generator.normal(size=(rows, width)).astype(np.float32) for width in layer.state_widths)


@every_cell
@every_layer
def test_the_output_is_as_wide_as_the_first_part_of_the_state(cell: str, n: int) -> None:
    layer = make_layer(cell, n)
    outputs, state = layer(some_inputs())
    assert outputs.shape == (TIME, BATCH, UNITS)
    assert [part.shape for part in state] == [(BATCH, width) for width in layer.state_widths]
    assert layer.state_widths[0] == UNITS
    assert {part.dtype for part in state} == {tf.float32}


@every_cell
@every_layer
def test_no_state_is_a_state_of_zeros(cell: str, n: int) -> None:
    layer = make_layer(cell, n)
    zeros = tuple(np.zeros_like(part) for part in some_state(layer))
    np.testing.assert_array_equal(layer(some_inputs())[0], layer(some_inputs(), zeros)[0])


@every_cell
@every_layer
@pytest.mark.parametrize("cut", range(1, TIME))
def test_state_carried_over_two_windows_equals_one_long_window(cell: str, n: int, cut: int) -> None:
    layer, inputs = make_layer(cell, n), some_inputs()
    whole, state = layer(inputs)
    first, between = layer(inputs[:cut])
    second, after = layer(inputs[cut:], between)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-6)
    for found, expected in zip(after, state, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@every_cell
@every_layer
@settings(max_examples=10)  # each is about 15 runs
@given(keep=arrays_of(np.float32, (TIME, BATCH, 1), elements=st.sampled_from([0.0, 1.0])))
def test_resets_equal_runs_of_their_own(cell: str, n: int, keep: np.ndarray) -> None:
    """Each row falls apart at its resets into runs that begin with nothing."""
    layer, inputs = make_layer(cell, n), some_inputs()
    before = some_state(layer)
    outputs, state = layer(inputs, before, tf.constant(keep))
    for row in range(BATCH):
        begins = [0, *(np.flatnonzero(keep[1:, row, 0] == 0.0) + 1), TIME]
        of_row = tuple(part[row : row + 1] * keep[0, row] for part in before)
        for start, end in itertools.pairwise(begins):
            alone, last = layer(inputs[start:end, row : row + 1], of_row)
            np.testing.assert_allclose(outputs[start:end, row], alone[:, 0], atol=1e-6)
            of_row = tuple(np.zeros_like(part) for part in of_row)
        for found, expected in zip(state, last, strict=True):
            np.testing.assert_allclose(found[row], expected[0], atol=1e-6)


@every_cell
@every_layer
def test_a_row_does_not_see_the_others(cell: str, n: int) -> None:
    layer, inputs = make_layer(cell, n), some_inputs()
    alone = layer(inputs[:, 1:2])[0]
    np.testing.assert_allclose(layer(inputs)[0][:, 1:2], alone, atol=1e-6)


@every_cell
@every_layer
def test_no_step_sees_what_comes_later(cell: str, n: int) -> None:
    layer, inputs = make_layer(cell, n), some_inputs()
    other = np.concatenate([inputs[:4], -inputs[4:]])
    np.testing.assert_array_equal(layer(inputs)[0][:4], layer(other)[0][:4])
    assert not np.allclose(layer(inputs)[0][4:], layer(other)[0][4:])


@every_cell
@every_layer
def test_the_same_without_a_gradient(cell: str, n: int) -> None:
    layer, inputs = make_layer(cell, n), some_inputs()
    np.testing.assert_allclose(layer(inputs, training=False)[0], layer(inputs)[0], atol=1e-6)


@every_cell
@every_layer
def test_products_in_bfloat16_stay_near_float32(cell: str, n: int) -> None:
    """8 bits of mantissa: outputs within 3 in 100 at most, each gradient within 3 in 100 of its norm."""
    layer = make_layer(cell, n, 48, 64)
    layer.bias.assign(tf.zeros_like(layer.bias))
    x = tf.constant(some_inputs(48, (30, 8)))
    weights = [variable.value for variable in layer.trainable_variables]
    upstream = tf.constant(np.random.default_rng(2).normal(size=(30, 8, 64)).astype(np.float32))
    results = []
    for precision in ("float32", "bfloat16"):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs, state = layer(x, precision=precision)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * upstream)
        assert {part.dtype for part in state} == {tf.float32}
        gradients = tape.gradient(loss, [x, *weights])
        assert {gradient.dtype for gradient in gradients} == {tf.float32}
        results.append([tf.cast(outputs, tf.float32), *gradients])
    np.testing.assert_allclose(results[1][0], results[0][0], atol=0.03)
    for found, expected in zip(*results, strict=True):
        assert tf.norm(found - expected) < 0.03 * tf.norm(expected)


@every_cell
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_language_model_learns_with_every_regulariser(cell: str, precision: Any) -> None:
    """A text of 12 tokens over and over: far below the log(12) = 2.48 nats of a guess after 80 updates."""
    zoneout = {"zoneout": 0.1} if cell == "qrnn" else {}
    dropout = Dropout(input=0.1, hidden=0.1, output=0.1, embedding=0.1, weight=0.1, **zoneout)
    shape = Model.model_validate({"cell": cell, "embedding": 16, "hidden": 24, "layers": 2, "dropout": dropout})
    model = LanguageModel(shape, 12, seed=1)
    training = LanguageModelTraining(batch_size=4, window=8, activation_penalty=1.0, temporal_penalty=0.5)
    step = LanguageModelStep(model, training, precision)
    text = (np.arange(9)[:, None] + np.array([0, 3, 6, 9])[None, :]).astype(np.int32)
    losses = []
    for n in range(80):
        tokens = (text + 8 * n) % 12
        ones = np.ones((8, 4), np.float32)
        result = step.run([Window(tokens[:-1], tokens[1:], ones, ones[:, :, None])], [n == 0], 1, n, 0.01, 0.0)
        losses.append(result.loss)
    assert losses[0] > 2.0
    assert np.mean(losses[-10:]) < 0.5


@every_cell
@pytest.mark.parametrize("vocabulary", [3, 40, 2_000])
@pytest.mark.parametrize(("time", "batch"), [(7, 3), (12, 20)])
@pytest.mark.parametrize("resets", [False, True])
def test_an_evaluation_looks_words_up_and_finds_the_same(
    cell: str, vocabulary: int, time: int, batch: int, resets: bool
) -> None:
    """It may multiply each word's embedding once. Few words come again and again, many of 2,000 do not."""
    encoder = Encoder(Model(embedding=WIDTH, hidden=UNITS, layers=2, cell=cell), vocabulary, seed=1)
    r = np.random.default_rng(2)
    tokens = tf.constant(r.integers(0, vocabulary, (time, batch)), tf.int32)
    states = [tuple(map(tf.constant, some_state(layer, batch))) for layer in encoder.cells]
    keep = tf.constant((r.random((time, batch, 1)) > 0.2).astype(np.float32)) if resets else None
    found, after = encoder(tokens, states, keep, training=False)
    right, right_after = encoder(tokens, states, keep, training=True)
    np.testing.assert_array_equal(found, right)
    for mine, expected in zip(tf.nest.flatten(after), tf.nest.flatten(right_after), strict=True):
        np.testing.assert_array_equal(mine, expected)

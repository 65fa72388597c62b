"""Each dropout by what it is expected to give, alone and at its place in the encoder.

A mean over masks is held to 5 standard deviations: a kept value is x / (1 - p) with probability 1 - p, so its
variance is x^2 p / (1 - p).
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.model.dropout import drop_weights, drop_word_types, locked_dropout
from rnnlm.model.encoder import Encoder
from rnnlm.model.lstm import LSTM
from rnnlm.settings import Dropout, Model

TIME, BATCH, WIDTH, VOCABULARY = 6, 5, 8, 20
MASKS = 400
NONE = Dropout(input=0.0, hidden=0.0, output=0.0, embedding=0.0, weight=0.0)
LOCKED = ["input", "hidden", "output"]
rates = st.floats(0.05, 0.9)


def seed_of(step: int, training: int = 7) -> tf.Tensor:
    return tf.constant([training, step], tf.int32)


def over_masks(drop: Callable[[tf.Tensor], Any]) -> np.ndarray:
    """Return what a function of the seed gives for each of MASKS seeds; compiled, for there are many."""
    signature = tf.TensorSpec(None, tf.float32)
    compiled = tf.function(
        lambda steps: tf.map_fn(lambda n: drop(tf.stack([7, n])), steps, fn_output_signature=signature), autograph=False
    )
    return np.array(compiled(tf.range(MASKS)))


def tolerance(x: np.ndarray, rate: float) -> np.ndarray:
    """Five standard deviations of a mean over the masks."""
    return np.asarray(5.0 * np.abs(x) * math.sqrt(rate / (1.0 - rate) / MASKS) + 1e-6)


def assert_mean_is(x: np.ndarray, dropped: np.ndarray, rate: float) -> None:
    """The first axis is that of the masks."""
    assert (np.abs(dropped.mean(axis=0) - x) <= tolerance(x, rate)).all()


def assert_dropped_or_scaled(x: np.ndarray, dropped: np.ndarray, rate: float) -> None:
    scaled = x / (1.0 - rate)
    assert ((dropped == 0.0) | np.isclose(dropped, scaled, rtol=1e-5)).all()


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_locked_dropout_of_bfloat16_scales_by_the_exact_factor_on_average() -> None:
    """1 / (1 - 0.4) itself would be rounded to 1.6641: activations in training 0.2 % below those of the evaluation."""
    x = tf.cast(tf.random.stateless_uniform((64, 32, 64), [1, 2], 1.0, 2.0), tf.bfloat16)
    dropped = locked_dropout(x, 0.4, seed_of(1), 0)
    assert dropped.dtype == tf.bfloat16
    values, kept = np.array(tf.cast(x, tf.float64)), np.array(tf.cast(dropped, tf.float64))
    assert kept[kept != 0.0].sum() / values[kept != 0.0].sum() == pytest.approx(1.0 / 0.6, rel=2e-4)


@settings(max_examples=15)
@given(rate=rates, step=st.integers(0, 2**31 - 1), place=st.integers(0, 1_000))
def test_locked_dropout_has_one_mask_for_all_steps_and_scales_what_it_keeps(rate: float, step: int, place: int) -> None:
    x = normal(TIME, BATCH, WIDTH)
    dropped = np.array(locked_dropout(tf.constant(x), rate, seed_of(step), place))
    assert_dropped_or_scaled(x, dropped, rate)
    zero = dropped == 0.0
    assert (zero == zero[0]).all()


def test_locked_dropout_drops_the_asked_share_of_each_rows_own_units() -> None:
    kept = np.array(locked_dropout(tf.ones((1, 100, 200)), 0.3, seed_of(0), 0))[0] != 0.0
    assert kept.mean() == pytest.approx(0.7, abs=5 * math.sqrt(0.21 / kept.size))
    assert len({row.tobytes() for row in kept}) == len(kept)  # rows of the batch do not share a mask


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_locked_dropout_gives_the_input_on_average(rate: float) -> None:
    x = normal(TIME, BATCH, WIDTH)
    dropped = over_masks(lambda seed: locked_dropout(tf.constant(x), rate, seed, 1))
    assert_mean_is(x, dropped, rate)


@settings(max_examples=15)
@given(rate=rates, step=st.integers(0, 2**31 - 1))
def test_dropped_weights_are_zero_or_scaled_each_for_itself(rate: float, step: int) -> None:
    kernel = normal(WIDTH, 4 * WIDTH)
    assert_dropped_or_scaled(kernel, np.array(drop_weights(tf.constant(kernel), rate, seed_of(step), 200)), rate)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropped_weights_are_the_raw_ones_on_average(rate: float) -> None:
    kernel = normal(WIDTH, 4 * WIDTH)
    dropped = over_masks(lambda seed: drop_weights(tf.constant(kernel), rate, seed, 200))
    assert_mean_is(kernel, dropped, rate)
    assert (dropped[0] == 0.0).mean() == pytest.approx(rate, abs=5 * math.sqrt(rate * (1 - rate) / kernel.size))


@settings(max_examples=15)
@given(rate=rates, step=st.integers(0, 2**31 - 1), seed=st.integers(0, 99))
def test_all_places_of_a_word_type_share_its_mask(rate: float, step: int, seed: int) -> None:
    """Few types, so that each stands in several rows and steps."""
    ids = np.random.default_rng(seed).integers(0, 6, (TIME, BATCH)).astype(np.int32)
    embedded = normal(6, WIDTH)[ids]
    dropped = np.array(drop_word_types(tf.constant(embedded), tf.constant(ids), VOCABULARY, rate, seed_of(step), 0))
    assert_dropped_or_scaled(embedded, dropped, rate)
    for token in np.unique(ids):
        zero = dropped[ids == token] == 0.0
        assert zero.all() or not zero.any()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropped_word_types_are_as_before_on_average(rate: float) -> None:
    ids = np.arange(VOCABULARY, dtype=np.int32).reshape(4, 5)
    embedded = normal(VOCABULARY, WIDTH)[ids]
    dropped = over_masks(
        lambda seed: drop_word_types(tf.constant(embedded), tf.constant(ids), VOCABULARY, rate, seed, 0)
    )
    assert_mean_is(embedded, dropped, rate)
    share = (dropped[..., 0] == 0.0).mean()  # of MASKS x VOCABULARY types
    assert share == pytest.approx(rate, abs=5 * math.sqrt(rate * (1 - rate) / (MASKS * VOCABULARY)))


def test_no_two_steps_or_places_share_a_mask() -> None:
    """Step and place added up would give step 5 at place 1 the mask of step 6 at place 0; so would seed and step."""
    x = tf.ones((1, 8, 16))
    masks = {
        np.array(locked_dropout(x, 0.5, seed_of(step, training), place)).tobytes()
        for training, step, place in itertools.product(range(4), range(12), [*range(8), 100, 101, 200, 201, 300])
    }
    assert len(masks) == 4 * 12 * 13


def test_the_same_seed_and_place_give_the_same_mask() -> None:
    x = tf.ones((1, 8, 16))
    np.testing.assert_array_equal(
        locked_dropout(x, 0.5, seed_of(3), 2), locked_dropout(tf.ones((4, 8, 16)), 0.5, seed_of(3), 2)[:1]
    )


@pytest.mark.parametrize(("rate", "seed"), [(0.0, (1, 2)), (0.5, None)])
def test_without_a_rate_or_a_seed_the_very_input_is_given(rate: float, seed: tuple[int, int] | None) -> None:
    masks = None if seed is None else tf.constant(seed)
    x, ids = tf.ones((TIME, BATCH, WIDTH)), tf.zeros((TIME, BATCH), tf.int32)
    assert locked_dropout(x, rate, masks, 0) is x
    assert drop_weights(x, rate, masks, 0) is x
    assert drop_word_types(x, ids, VOCABULARY, rate, masks, 0) is x


# The encoder, with LSTMs that hand on their inputs: what comes out is what was dropped on the way.


def transparent(
    self: LSTM,
    inputs: Any,
    state: Any = None,
    keep: Any = None,
    dropped: Any = None,
    precision: Any = "float32",
) -> Any:
    return inputs, dropped


def encoder_of(monkeypatch: pytest.MonkeyPatch, **dropout: float) -> Encoder:
    monkeypatch.setattr(LSTM, "call", transparent)
    model = Model(embedding=WIDTH, hidden=WIDTH, layers=3, dropout=NONE.model_copy(update=dropout))
    return Encoder(model, VOCABULARY, seed=1)


def tokens() -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).integers(0, VOCABULARY, (TIME, BATCH)).astype(np.int32))


def run(encoder: Encoder, step: int | None) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return what was looked up, what came out, and the recurrent kernel of each layer."""
    seed = None if step is None else seed_of(step)
    outputs, kernels = encoder(tokens(), seed=seed)
    looked_up = np.array(encoder.embedding.embeddings)[tokens().numpy()]
    return looked_up, np.array(encoder.drop_outputs(outputs, seed)), [np.array(kernel) for kernel in kernels]


@pytest.mark.parametrize("name", LOCKED)
def test_the_encoders_locked_dropouts_are_locked_scaled_and_right_on_average(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoder_of(monkeypatch, **{name: 0.4})
    looked_up = run(encoder, 0)[0]
    found = over_masks(lambda seed: encoder.drop_outputs(encoder(tokens(), seed=seed)[0], seed))
    zero = found == 0.0
    assert (zero == zero[:, :1]).all()
    # Between three layers there are two masks for hidden units, one for the others.
    times = 2 if name == "hidden" else 1
    kept = np.broadcast_to(looked_up, found.shape)[~zero]
    np.testing.assert_allclose(found[~zero], kept / 0.6**times, rtol=1e-5)
    # Independent masks: kept with probability 0.6^2, as by one mask of rate 1 - 0.36.
    assert_mean_is(looked_up, found, 1.0 - 0.6**times)
    assert zero.mean() == pytest.approx(1.0 - 0.6**times, abs=0.02)  # 16,000 units: five deviations


def test_no_two_places_in_the_encoder_share_a_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rates alone tell the encoders apart: with a shared mask the zeros would be the same."""
    zeros = [run(encoder_of(monkeypatch, **{name: 0.5}), 3)[1][0] == 0.0 for name in LOCKED]
    assert len({zero.tobytes() for zero in zeros}) == 3
    kernels = run(encoder_of(monkeypatch, weight=0.5), 3)[2]
    assert len({(kernel == 0.0).tobytes() for kernel in kernels}) == 3


def test_every_layers_recurrent_kernel_is_dropped_and_right_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoder_of(monkeypatch, weight=0.5)
    found = over_masks(lambda seed: tf.stack(encoder(tokens(), seed=seed)[1]))
    for n, layer in enumerate(encoder.cells):
        raw = np.array(layer.recurrent_kernel)
        assert_dropped_or_scaled(raw, found[:, n], 0.5)
        assert_mean_is(raw, found[:, n], 0.5)


def test_the_encoder_drops_whole_word_types(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encoder_of(monkeypatch, embedding=0.5)
    looked_up, dropped, _ = run(encoder, 3)
    assert_dropped_or_scaled(looked_up, dropped, 0.5)
    by_row: dict[bytes, set[bool]] = {}
    for row, found in zip(looked_up.reshape(-1, WIDTH), dropped.reshape(-1, WIDTH), strict=True):
        by_row.setdefault(row.tobytes(), set()).add(bool(found.any()))
    assert all(len(kept) == 1 for kept in by_row.values())
    assert {True} in by_row.values()
    assert {False} in by_row.values()


def test_without_a_seed_the_encoder_drops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = dict.fromkeys([*LOCKED, "embedding", "weight"], 0.5)
    encoder = encoder_of(monkeypatch, **everything)
    looked_up, outputs, kernels = run(encoder, None)
    np.testing.assert_array_equal(outputs, looked_up)
    for layer, kernel in zip(encoder.cells, kernels, strict=True):
        np.testing.assert_array_equal(kernel, layer.recurrent_kernel)

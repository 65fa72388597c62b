from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.model import adaptive, softmax
from rnnlm.model.adaptive import (
    AdaptiveWeights,
    adaptive_cross_entropy,
    adaptive_log_probabilities,
    adaptive_nll,
    group_starts,
)
from rnnlm.model.checkpoint import Checkpoint, Description, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import LanguageModelTraining, Model
from rnnlm.tokens import TextTokenizer
from rnnlm.training.batches import Window
from rnnlm.training.step import LanguageModelStep
from rnnlm.transfer.vocabulary import map_vocabulary

pytestmark = [
    pytest.mark.usefixtures("computed_by"),
    pytest.mark.parametrize("computed_by", ["native", "tensorflow"], indirect=True),
]

ROWS, WIDTH, VOCABULARY, STARTS = 23, 4, 13, (5, 9)
SMALL = Model(embedding=6, hidden=8, layers=2, softmax="adaptive")


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptive, "CUTOFFS", STARTS)


def arrays(seed: int = 0, vocabulary: int = VOCABULARY) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    groups = sum(start < vocabulary for start in STARTS)
    return {
        "hidden": generator.normal(size=(ROWS, WIDTH)).astype(np.float32),
        "embeddings": generator.normal(size=(vocabulary, WIDTH)).astype(np.float32),
        "bias": generator.normal(size=vocabulary).astype(np.float32),
        "tombstones": generator.normal(size=(groups, WIDTH)).astype(np.float32),
        "tombstone_bias": generator.normal(size=groups).astype(np.float32),
    }


TARGETS = np.random.default_rng(7).integers(0, VOCABULARY, ROWS).astype(np.int32)
WEIGHTS = np.random.default_rng(8).choice([0.0, 0.5, 1.0], ROWS).astype(np.float32)


def by_hand(a: dict[str, np.ndarray]) -> np.ndarray:
    """Log-probability of every token, in float64, one history and one token at a time."""
    a = {name: value.astype(np.float64) for name, value in a.items()}
    vocabulary = len(a["bias"])
    starts = [start for start in STARTS if start < vocabulary]
    edges = [*starts, vocabulary]
    rows = []
    for h in a["hidden"]:
        logits = np.array([h @ a["embeddings"][w] + a["bias"][w] for w in range(vocabulary)])
        stones = np.array([h @ a["tombstones"][g] + a["tombstone_bias"][g] for g in range(len(starts))])
        of_head = np.exp(logits[: edges[0]]).sum() + np.exp(stones).sum()
        row = [np.exp(logits[w]) / of_head for w in range(edges[0])]
        for g, start in enumerate(starts):
            inside = np.exp(logits[start : edges[g + 1]])
            row += list(np.exp(stones[g]) / of_head * inside / inside.sum())
        rows.append(np.log(row))
    return np.array(rows)


def tensors(a: dict[str, np.ndarray]) -> tuple[tf.Tensor, AdaptiveWeights]:
    hidden, *rest = (tf.constant(value) for value in a.values())
    return hidden, AdaptiveWeights(*rest)


@given(seed=st.integers(0, 99), vocabulary=st.integers(6, 14), scale=st.sampled_from([0.1, 1.0, 30.0]))
@settings(max_examples=30, deadline=None)
def test_probabilities_sum_to_one(seed: int, vocabulary: int, scale: float) -> None:
    a = arrays(seed, vocabulary)
    a["hidden"] *= np.float32(scale)
    found = np.array(adaptive_log_probabilities(*tensors(a)), np.float64)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, atol=1e-5)


def test_log_probabilities_equal_those_by_hand() -> None:
    a = arrays()
    np.testing.assert_allclose(adaptive_log_probabilities(*tensors(a)), by_hand(a), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_nll_of_single_rows_and_the_training_loss_equal_those_by_hand(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softmax, "chunk_rows", lambda *_: chunk)
    softmax.log_normalisers.cache_clear()
    a = arrays()
    nll = -by_hand(a)[np.arange(ROWS), TARGETS]
    hidden, weights = tensors(a)
    np.testing.assert_allclose(adaptive_nll(hidden, weights, tf.constant(TARGETS)), nll, rtol=1e-5)
    loss = adaptive_cross_entropy(hidden, weights, tf.constant(TARGETS), tf.constant(WEIGHTS))
    assert float(loss) == pytest.approx((nll * WEIGHTS).sum(), rel=1e-5)


@pytest.mark.parametrize("tokens", [[0, 4], [5, 8], [12], []])
def test_a_group_without_rows_costs_nothing_and_breaks_nothing(tokens: list[int]) -> None:
    a = arrays()
    hidden, weights = tensors(a)
    targets = np.array(tokens, np.int32)
    nll = -by_hand(a)[np.arange(len(targets)), targets]
    rows = hidden[: len(targets)]
    np.testing.assert_allclose(tf.function(adaptive_nll)(rows, weights, targets), nll, rtol=1e-5)
    if tokens:
        ones = tf.ones(len(targets))
        assert float(tf.function(adaptive_cross_entropy)(rows, weights, targets, ones)) == pytest.approx(
            nll.sum(), rel=1e-5
        )


@pytest.mark.parametrize("chunk", [1, 4, 64])
@pytest.mark.parametrize("shift", [0.0, 200.0])
def test_gradients_equal_those_of_the_plain_formula(chunk: int, shift: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shifted by 200, exp overflows float32: the maxima are taken off first there, and nothing may change."""
    monkeypatch.setattr(softmax, "chunk_rows", lambda *_: chunk)
    a = arrays()
    plain_hidden, plain_weights = tensors(a)
    a["bias"] = a["bias"] + np.float32(shift)
    a["tombstone_bias"] = a["tombstone_bias"] + np.float32(shift)
    hidden, weights = tensors(a)
    with tf.GradientTape() as tape:
        tape.watch([hidden, *weights])
        loss = 3.0 * adaptive_cross_entropy(hidden, weights, tf.constant(TARGETS), tf.constant(WEIGHTS))
    found = tape.gradient(loss, [hidden, *weights])
    with tf.GradientTape() as tape:
        tape.watch([plain_hidden, *plain_weights])
        log_probabilities = adaptive_log_probabilities(plain_hidden, plain_weights)
        plain = -3.0 * tf.reduce_sum(tf.gather(log_probabilities, TARGETS, batch_dims=1) * WEIGHTS)
    for mine, theirs in zip(found, tape.gradient(plain, [plain_hidden, *plain_weights]), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(mine), theirs, atol=1e-5 if shift == 0.0 else 1e-3)


def test_gradients_equal_finite_differences() -> None:
    a = arrays()
    hidden, weights = tensors(a)
    with tf.GradientTape() as tape:
        tape.watch([hidden, *weights])
        loss = adaptive_cross_entropy(hidden, weights, tf.constant(TARGETS), tf.constant(WEIGHTS))
    step = 1e-5
    for name, gradient in zip(a, tape.gradient(loss, [hidden, *weights]), strict=True):
        found = np.array(tf.convert_to_tensor(gradient))
        for place in [np.unravel_index(n, found.shape) for n in range(0, found.size, 3)]:
            moved = []
            for sign in (1, -1):
                b = {key: value.astype(np.float64) for key, value in a.items()}
                b[name][place] += sign * step
                moved.append(-(by_hand(b)[np.arange(ROWS), TARGETS] * WEIGHTS).sum())
            assert found[place] == pytest.approx((moved[0] - moved[1]) / (2 * step), abs=2e-4), (name, place)


def test_bfloat16_products_agree_within_their_digits() -> None:
    a = arrays()
    hidden, weights = tensors(a)
    args = tf.constant(TARGETS), tf.constant(WEIGHTS)
    exact = float(adaptive_cross_entropy(hidden, weights, *args))
    assert float(adaptive_cross_entropy(hidden, weights, *args, "bfloat16")) == pytest.approx(exact, rel=0.01)


def window(seed: int) -> Window:
    tokens, targets = np.random.default_rng(seed).integers(0, VOCABULARY, (2, 6, 3)).astype(np.int32)
    return Window(tokens, targets, np.ones((6, 3), np.float32), np.ones((6, 3, 1), np.float32))


def test_the_models_training_loss_nll_and_logits_are_one_model() -> None:
    model = LanguageModel(SMALL, VOCABULARY, seed=1, counts=np.arange(VOCABULARY)[::-1])
    model.tombstones.assign(np.random.default_rng(0).normal(size=model.tombstones.shape))
    x = window(0)
    counted = np.random.default_rng(1).random((6, 3)) > 0.4
    zero = model.encoder.zero_states(3)
    nll, _ = model.compiled_nll(x.tokens, x.targets, counted, zero)
    log_probabilities = np.array(model(x.tokens)[0], np.float64)
    right = np.take_along_axis(log_probabilities, x.targets[:, :, None], 2)[:, :, 0]
    np.testing.assert_allclose(nll, -right * counted, atol=1e-5)
    weights = counted.astype(np.float32)
    losses = model.losses(tf.constant(x.tokens), tf.constant(x.targets), tf.constant(weights), zero, None, None)
    assert float(losses.nll_sum) == pytest.approx(-(right * counted).sum(), rel=1e-5)
    nothing, _ = model.compiled_nll(x.tokens, x.targets, np.zeros((6, 3), bool), zero)
    np.testing.assert_array_equal(nothing, np.zeros((6, 3)))


def test_it_starts_at_the_unigram_distribution() -> None:
    counts = np.arange(VOCABULARY)[::-1]
    model = LanguageModel(SMALL, VOCABULARY, counts=counts)
    model.encoder.embedding.embeddings.assign(np.zeros((VOCABULARY, 6)))
    logits, _ = model(np.array([[3]], np.int32))
    np.testing.assert_allclose(np.exp(logits[0, 0]), (counts + 1) / (counts + 1).sum(), rtol=1e-5)


def test_a_training_learns_with_windows_whose_groups_differ_in_size() -> None:
    model = LanguageModel(SMALL, VOCABULARY, seed=1)
    step = LanguageModelStep(model, LanguageModelTraining(batch_size=3, window=6), "float32")
    before = get_weights(model)
    results = [step.run([window(n % 3)], [True], 0, n, 0.02, 0.0) for n in range(40)]
    assert results[-1].loss < 0.9 * results[0].loss
    assert all((before[name] != value).any() for name, value in get_weights(model).items())


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}")
    model = LanguageModel(SMALL, VOCABULARY, seed=1, counts=np.arange(VOCABULARY))
    description = Description(kind="language_model", settings=SMALL, vocabulary_size=VOCABULARY)
    Checkpoint(description, get_weights(model)).save(tmp_path, tmp_path / "t.json")
    tokens = np.arange(6, dtype=np.int32).reshape(3, 2)
    np.testing.assert_array_equal(Checkpoint.load(tmp_path).build()(tokens)[0], model(tokens)[0])


def test_a_vocabulary_without_rare_tokens_has_the_exact_softmax() -> None:
    assert group_starts(STARTS[0]) == ()
    exact = LanguageModel(SMALL.model_copy(update={"softmax": "exact"}), STARTS[0], seed=1)
    model = LanguageModel(SMALL, STARTS[0], seed=1)
    assert set(get_weights(model)) == set(get_weights(exact))


@pytest.mark.parametrize(("size", "stones"), [(VOCABULARY, [1.0, 2.0]), (8, [1.0]), (4, [])])
def test_another_vocabulary_keeps_the_tombstones_of_its_bands(
    size: int, stones: list[float], vocabulary: Callable[..., TextTokenizer]
) -> None:
    source = LanguageModel(SMALL, VOCABULARY, seed=1)
    source.tombstone_bias.assign([1.0, 2.0])
    words = [f"w{n}" for n in range(VOCABULARY - 2)]
    mapped, _ = map_vocabulary(
        get_weights(source), vocabulary(*words), vocabulary(*words[::-1][: size - 2]), np.ones(size, int), "exact"
    )
    target = LanguageModel(SMALL, size)
    set_weights(target, mapped)  # names and shapes fit
    if stones:
        np.testing.assert_array_equal(target.tombstone_bias, stones)


def test_a_band_that_the_source_lacks_starts_from_its_rarest(vocabulary: Callable[..., TextTokenizer]) -> None:
    source = LanguageModel(SMALL, 8, seed=1)
    source.tombstones.assign(np.ones((1, 6)))
    mapped, _ = map_vocabulary(
        get_weights(source), vocabulary(*"abcdef"), vocabulary(*"abcdefghijk"), np.ones(VOCABULARY, int), "exact"
    )
    target = LanguageModel(SMALL, VOCABULARY)
    set_weights(target, mapped)
    np.testing.assert_array_equal(target.tombstones, np.ones((2, 6)))

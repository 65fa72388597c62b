"""Fine-tuning: rates ordered by depth, frozen layers that stay frozen, weights that are held near their start."""

from typing import Literal

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.model.checkpoint import Weights, get_weights, set_weights
from rnnlm.model.target_model import TargetModel
from rnnlm.settings import ClassifierTraining, Dropout, FineTuning, Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training.fine_tuning import LayeredAdamW, layer_rates
from rnnlm.training.target_model import average_with_start, train_target_model
from rnnlm.training.update import clipped_update, make_optimizer

SMALL = Model(embedding=8, hidden=12, layers=2, dropout=Dropout(input=0.2, hidden=0.2, output=0.2))
TRAINING = ClassifierTraining(weight_decay=0.0, epochs=1, min_steps=8, batch_size=8, evaluations=1)
SIZE = 14
VOCABULARY = Vocabulary(SIZE, eos=3, unk=1, bos=2)
LAYERS = ["embedding/", "lstm_0/", "lstm_1/", "head/"]


def documents(count: int, seed: int) -> Text:
    """Documents whose class is that of the words in them."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    texts = [[2, *(4 + label + 2 * generator.integers(0, 5, generator.integers(3, 9))), 3] for label in labels]
    lengths = np.array([len(text) for text in texts])
    return Text(
        vocabulary=VOCABULARY,
        ids=np.concatenate(texts).astype(np.uint8),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        labels=labels.astype(np.int16),
        n_characters=4 * lengths,
        n_bytes=4 * lengths,
        n_words=lengths,
        document_ids=np.array([str(n) for n in range(count)], object),
    )


TRAIN, VALID = documents(64, 1), documents(30, 2)


def changed(before: Weights, after: Weights) -> list[bool]:
    """Tell of each layer, from the embedding to the head, whether its weights have changed."""
    return [any((before[n] != after[n]).any() for n in before if n.startswith(layer)) for layer in LAYERS]


@given(st.floats(1.0, 10.0), st.integers(2, 9), st.integers(0, 99))
def test_rates_are_ordered_by_depth(factor: float, layers: int, step: int) -> None:
    rates = layer_rates(FineTuning(layer_factor=factor), layers, step, 100)
    assert rates[-1] == 1.0
    np.testing.assert_allclose(rates[1:] / rates[:-1], factor, rtol=1e-5)


@pytest.mark.parametrize(
    ("unfreezing", "phases"),
    [
        ("head_first", ["0001"]),
        ("gradual", ["0001", "0011", "0111"]),
        ("chain_thaw", ["0001", "1000", "0100", "0010"]),
    ],
)
def test_layers_thaw_in_their_order(
    unfreezing: Literal["head_first", "gradual", "chain_thaw"], phases: list[str]
) -> None:
    ways = FineTuning(unfreezing=unfreezing, layer_factor=2.0)
    steps = 24
    seen = [layer_rates(ways, 4, step, steps) for step in range(steps)]
    trained = ["".join(str(int(rate > 0)) for rate in rates) for rates in seen]
    assert list(dict.fromkeys(trained)) == [*phases, "1111"]
    assert trained.count("1111") == steps / 2
    np.testing.assert_array_equal(seen[-1], [0.125, 0.25, 0.5, 1.0])


@pytest.mark.parametrize("unfreezing", ["none", "head_first", "gradual", "chain_thaw"])
def test_what_is_frozen_stays_frozen(
    unfreezing: Literal["none", "head_first", "gradual", "chain_thaw"], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The whole of the training in its first phase.
    monkeypatch.setattr("rnnlm.training.fine_tuning.THAWING", 1_000.0)
    model = TargetModel(SMALL, TRAINING, SIZE, 2, seed=1)
    before = get_weights(model)
    train_target_model(
        model, TRAIN, VALID, 0.02, trainable="all", seed=1, fine_tuning=FineTuning(unfreezing=unfreezing)
    )
    assert changed(before, get_weights(model)) == ([True] * 4 if unfreezing == "none" else [False] * 3 + [True])


def test_with_all_rates_one_it_is_adamw() -> None:
    generator = np.random.default_rng(0)
    start = [generator.normal(size=(5, 3)).astype(np.float32), generator.normal(size=4).astype(np.float32)]
    plain, layered = ([keras.Variable(w) for w in start] for _ in range(2))
    first, second = make_optimizer("adamw", plain, 0.1), LayeredAdamW(layered, layered[:1], 0.1)
    for _ in range(3):
        gradients = [tf.constant(generator.normal(size=w.shape), tf.float32) for w in start]
        clipped_update(first, plain, gradients, 1.0, tf.constant(0.03))
        clipped_update(second, layered, gradients, 1.0, tf.constant(0.03))
    for one, other in zip(plain, layered, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_nothing_draws_a_weight_from_its_start_and_all_draws_back_to_it() -> None:
    """L2-SP: zero at the start, and elsewhere rate * strength of the way back; without it, the decay is to zero."""
    start = np.array([1.0, -2.0], np.float32)
    variables = [keras.Variable(start), keras.Variable(start)]
    optimizer = LayeredAdamW(variables, variables[:1], weight_decay=0.5)
    optimizer.anchors.stay_near = tf.constant(0.25)
    nothing = [tf.zeros(2)] * 2
    clipped_update(optimizer, variables, nothing, 1.0, tf.constant(0.1))
    np.testing.assert_array_equal(variables[0].numpy(), start)
    np.testing.assert_allclose(variables[1].numpy(), start * (1.0 - 0.1 * 0.5), rtol=1e-6)
    variables[0].assign(start + 1.0)
    clipped_update(optimizer, variables, nothing, 1.0, tf.constant(0.1))
    np.testing.assert_allclose(variables[0].numpy(), start + 1.0 - 0.1 * 0.25, rtol=1e-6)


def test_the_nearer_it_is_held_the_nearer_it_stays() -> None:
    model = TargetModel(SMALL, TRAINING, SIZE, 2, seed=1)
    start = get_weights(model)
    away = []
    for near in (0.0, 10.0, 40.0):  # at a rate of 0.02 the last one takes back most of each step
        set_weights(model, start)
        train_target_model(model, TRAIN, VALID, 0.02, trainable="all", seed=1, fine_tuning=FineTuning(stay_near=near))
        away.append(np.linalg.norm(get_weights(model)["lstm_0/kernel"] - start["lstm_0/kernel"]))
    assert away[0] > away[1] > away[2] > 0.0


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_an_average_lies_between_start_and_end(share: float) -> None:
    model = TargetModel(SMALL, TRAINING, SIZE, 2, seed=1)
    start = get_weights(model)
    train_target_model(model, TRAIN, VALID, 0.02, trainable="all", seed=1)
    end = get_weights(model)
    average_with_start(model, start, end, share, TRAIN, seed=1)
    after = get_weights(model)
    for name in ("embedding/embeddings", "lstm_0/kernel", "lstm_1/bias"):
        np.testing.assert_allclose(after[name], (1 - share) * start[name] + share * end[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(after["head/kernel"], end["head/kernel"])
    # The statistics of the normalisation are those of the average, not of either end.
    statistics = [name for name in after if "moving" in name]
    assert statistics
    assert all(np.array_equal(after[name], end[name]) == (share == 1.0) for name in statistics)


@pytest.mark.parametrize("classes", [2, 3])
def test_label_smoothing_is_the_cross_entropy_to_mixed_labels(classes: int) -> None:
    model = TargetModel(SMALL, TRAINING.model_copy(update={"label_smoothing": 0.3}), SIZE, classes, seed=1)
    logits = np.random.default_rng(0).normal(size=(4, 1 if classes == 2 else classes)).astype(np.float32)
    labels = np.array([0, 1, classes - 1, 0])
    probabilities = np.array(model.task_head.said(tf.constant(logits)), np.float64)
    wanted = 0.7 * np.eye(classes)[labels] + 0.3 / classes
    expected = -(wanted * np.log(probabilities)).sum(axis=1)
    found = model.task_head.losses(tf.constant(logits), tf.constant(labels, tf.int32))
    np.testing.assert_allclose(np.array(found), expected, rtol=1e-4)

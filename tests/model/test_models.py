from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rnnlm.errors import DataError
from rnnlm.model.checkpoint import Checkpoint, Description, get_weights, set_weights
from rnnlm.model.dropout import locked_dropout
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel, pool
from rnnlm.settings import ClassifierTraining, Dropout, Model

SMALL = Model(embedding=6, hidden=8, layers=2, dropout=Dropout(input=0.5, hidden=0.5, output=0.5))


def test_pooling_agrees_with_a_loop_over_true_lengths() -> None:
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(6, 4, 3)).astype(np.float32)
    lengths = np.array([6, 1, 3, 5], np.int32)
    pooled = np.array(pool(tf.constant(hidden), tf.constant(lengths), "concat"))
    for n, length in enumerate(lengths):
        states = hidden[:length, n]
        np.testing.assert_allclose(pooled[n], np.concatenate([states[-1], states.max(0), states.mean(0)]), rtol=1e-6)
    np.testing.assert_array_equal(pool(tf.constant(hidden), tf.constant(lengths), "last"), pooled[:, :3])


def test_padding_does_not_change_a_document() -> None:
    classifier = TargetModel(SMALL, ClassifierTraining(), 20, 3, seed=1)
    tokens = np.random.default_rng(0).integers(0, 20, (5, 1)).astype(np.int32)
    padded = np.concatenate([tokens, np.full((4, 1), 7, np.int32)])
    lengths = np.array([5], np.int32)
    np.testing.assert_allclose(classifier(tokens, lengths), classifier(padded, lengths), atol=1e-6)


def test_what_is_dropped_while_labels_are_learnt_may_differ_from_the_language_model() -> None:
    generator = np.random.default_rng(0)
    tokens, lengths = generator.integers(0, 20, (5, 2)).astype(np.int32), np.array([5, 3], np.int32)

    def differ(training: ClassifierTraining) -> bool:
        classifier = TargetModel(SMALL, training, 20, 2)
        with_seed, without = classifier.features(tokens, lengths, tf.constant([1, 2])), classifier(tokens, lengths)
        assert without.shape == (2, 2)
        return not np.allclose(with_seed, classifier.features(tokens, lengths))

    assert differ(ClassifierTraining())
    assert not differ(ClassifierTraining(encoder_dropout=Dropout(input=0.0, hidden=0.0, output=0.0)))


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_and_losses_agree(classes: int) -> None:
    classifier = TargetModel(SMALL, ClassifierTraining(), 20, classes)
    logits = tf.constant(np.random.default_rng(0).normal(size=(5, 1 if classes == 2 else classes)).astype(np.float32))
    labels = np.array([0, 1, 1, 0, classes - 1], np.int32)
    probabilities = np.array(classifier.task_head.said(logits))
    assert probabilities.shape == (5, classes)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(
        classifier.task_head.losses(logits, labels), -np.log(probabilities[np.arange(5), labels]), rtol=1e-5
    )


def test_dropout_keeps_the_expectation_and_one_mask_for_all_steps() -> None:
    x = tf.ones((5, 40, 50))
    dropped = np.array(locked_dropout(x, 0.4, tf.constant([1, 2]), 3))
    assert set(np.unique(dropped)) == {0.0, np.float32(1.0) / np.float32(0.6)}
    assert (dropped == dropped[0]).all()
    assert dropped.mean() == pytest.approx(1.0, abs=0.06)  # 2,000 units: standard deviation 0.018
    assert (np.array(locked_dropout(x, 0.4, tf.constant([1, 2]), 4)) != dropped).any()
    assert (np.array(locked_dropout(x, 0.4, tf.constant([1, 3]), 3)) != dropped).any()


def test_nothing_is_dropped_in_evaluation() -> None:
    model = LanguageModel(SMALL, 20, seed=1)
    tokens = np.random.default_rng(0).integers(0, 20, (5, 2)).astype(np.int32)
    first, _ = model(tokens)
    second, _ = model(tokens)
    np.testing.assert_array_equal(first, second)


def test_the_softmax_starts_at_the_unigram_distribution() -> None:
    counts = np.array([0, 10, 30, 59])
    model = LanguageModel(SMALL, 4, seed=1, counts=counts)
    np.testing.assert_allclose(np.exp(model.bias), (counts + 1) / 103, rtol=1e-5)


def test_softmax_and_embedding_are_one_weight() -> None:
    names = set(get_weights(LanguageModel(SMALL, 20)))
    assert [name for name in names if "embedding" in name] == ["embedding/embeddings"]
    assert "softmax_bias" in names


def test_the_nll_of_a_window_is_that_of_its_logits() -> None:
    model = LanguageModel(SMALL, 20, seed=1)
    generator = np.random.default_rng(0)
    tokens, targets = generator.integers(0, 20, (2, 6, 3)).astype(np.int32)
    counted = generator.random((6, 3)) > 0.4
    nll, _ = model.compiled_nll(tokens, targets, counted, model.encoder.zero_states(3))
    logits, _ = model(tokens)
    logits = np.array(logits, np.float64)
    right = np.take_along_axis(logits, targets[:, :, None], 2)[:, :, 0]
    np.testing.assert_allclose(nll, (np.log(np.exp(logits).sum(2)) - right) * counted, atol=1e-5)


def test_a_seed_gives_the_same_weights_and_another_one_others() -> None:
    first, again, other = (get_weights(LanguageModel(SMALL, 20, seed)) for seed in (1, 1, 2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
    assert (first["embedding/embeddings"] != other["embedding/embeddings"]).any()


def checkpoint() -> Checkpoint:
    model = LanguageModel(SMALL, 20, seed=1)
    return Checkpoint(Description(kind="language_model", settings=SMALL, vocabulary_size=20), get_weights(model))


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}")
    saved = checkpoint()
    saved.save(tmp_path, tmp_path / "t.json")
    loaded = Checkpoint.load(tmp_path)
    assert loaded.description == saved.description
    tokens = np.arange(6, dtype=np.int32).reshape(3, 2)
    np.testing.assert_array_equal(loaded.build()(tokens)[0], saved.build()(tokens)[0])


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    (tmp_path / "t.json").write_text("{}")
    checkpoint().save(tmp_path, tmp_path / "t.json")
    weights = tmp_path / "weights.safetensors"
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(DataError, match="no whole checkpoint") as caught:
        Checkpoint.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_weights_that_do_not_fit_are_refused_by_name() -> None:
    model = LanguageModel(SMALL, 20)
    weights = get_weights(model)
    with pytest.raises(DataError, match="softmax_bias"):
        set_weights(model, {name: value for name, value in weights.items() if name != "softmax_bias"})
    with pytest.raises(DataError, match="softmax_bias have shape"):
        set_weights(model, weights | {"softmax_bias": np.zeros(3, np.float32)})

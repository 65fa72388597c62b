import dataclasses

import numpy as np
import pytest

from rnnlm.errors import TrainingError
from rnnlm.model.checkpoint import get_weights, set_weights
from rnnlm.model.heads import class_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.settings import ClassifierTraining, Dropout, LanguageModelTraining, Model
from rnnlm.targets import TASKS
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training.language_model import train_language_model
from rnnlm.training.progress import Progress
from rnnlm.training.target_model import (
    predict,
    reusable_target_model,
    train_target_model,
)

BOS, EOS, SIZE = 2, 3, 14
VOCABULARY = Vocabulary(SIZE, EOS, unk=1, bos=BOS)
SMALL = Model(embedding=8, hidden=12, layers=2, dropout=Dropout(input=0.2, hidden=0.2, output=0.2))
LM = LanguageModelTraining(epochs=3.0, batch_size=4, window=8, learning_rate=0.03, evaluations=3)
CLASSIFIER = ClassifierTraining(weight_decay=0.0, epochs=4, min_steps=40, batch_size=8, evaluations=4)


def documents(count: int, seed: int) -> Text:
    """A language in which each word has one follower; even words make class 0, odd words class 1."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for n in range(count):
        word = 4 + n % 2
        text = [BOS]
        for _ in range(generator.integers(3, 9)):
            text.append(word)
            word = 4 + (word - 4 + 2) % 10
        texts.append([*text, EOS])
        labels.append(n % 2)
    lengths = np.array([len(text) for text in texts])
    return Text(
        vocabulary=VOCABULARY,
        ids=np.array([token for text in texts for token in text], np.uint8),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        labels=np.array(labels, np.int16),
        n_characters=4 * lengths,
        n_bytes=4 * lengths,
        n_words=lengths,
        document_ids=np.array([str(n) for n in range(count)], object),
    )


TRAIN, VALID = documents(120, 1), documents(30, 2)


def language_model(seed: int = 1) -> LanguageModel:
    return LanguageModel(SMALL, SIZE, seed, TRAIN.counts())


def test_a_language_model_learns_and_ends_with_its_best_weights() -> None:
    from rnnlm.evaluation.language_model import score_documents

    model = language_model()
    before = score_documents(model, VALID).metrics["perplexity"]
    seen: list[Progress] = []
    points = train_language_model(model, TRAIN, VALID, LM, seed=1, report=seen.append).points
    after = score_documents(model, VALID).metrics
    assert after["perplexity"] < before / 2
    assert after["nll"] == pytest.approx(min(point.metrics["nll"] for point in points), rel=1e-6)
    assert len(points) == LM.evaluations
    assert points[-1].step == seen[-1].step == seen[-1].steps
    assert points[-1].tokens <= 3 * (TRAIN.lengths - 1).sum()


def test_the_same_seed_gives_the_same_bits() -> None:
    models = [language_model(seed) for seed in (1, 1, 2)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        train_language_model(model, TRAIN, VALID, LM, seed=seed)
    first, again, other = (get_weights(model) for model in models)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name], err_msg=name)
    assert (first["softmax_bias"] != other["softmax_bias"]).any()


def test_part_of_an_epoch_is_trained_if_so_asked() -> None:
    whole, part = (
        train_language_model(language_model(), TRAIN, VALID, LM.model_copy(update={"epochs": epochs}), seed=1)
        .points[-1]
        .step
        for epochs in (1.0, 0.5)
    )
    assert part == round(whole / 2)


def test_a_loss_that_is_no_number_stops_and_names_the_step() -> None:
    model = language_model()
    weights = get_weights(model)
    weights["lstm_0/kernel"][0, 0] = np.nan
    set_weights(model, weights)
    with pytest.raises(TrainingError, match=r"no longer a number at step 1 of .*learning_rate"):
        train_language_model(model, TRAIN, VALID, LM, seed=1)


def test_too_little_text_is_refused() -> None:
    settings = LM.model_copy(update={"batch_size": 4_000})
    with pytest.raises(TrainingError, match=r"too few for 4000 rows.*batch_size"):
        train_language_model(language_model(), TRAIN, VALID, settings, seed=1)


def test_running_text_is_trained_in_its_order() -> None:
    running = dataclasses.replace(VOCABULARY, bos=None)
    train, valid = (dataclasses.replace(text, vocabulary=running) for text in (TRAIN, VALID))
    points = train_language_model(language_model(), train, valid, LM, seed=1).points
    assert points[-1].metrics["perplexity"] < points[0].metrics["perplexity"]


@pytest.mark.parametrize("trainable", ["all", "maps"])
def test_a_classifier_learns_and_repeats_to_the_bit(trainable: str) -> None:
    results = []
    model = reusable_target_model(SMALL, ClassifierTraining, CLASSIFIER.model_dump_json(), SIZE, 2)
    for seed in (1, 2, 1):  # the second training must leave nothing behind in the reused model
        set_weights(model, get_weights(TargetModel(SMALL, CLASSIFIER, SIZE, 2, seed)))
        points = train_target_model(model, TRAIN, VALID, 0.02, trainable=trainable, seed=seed).points  # type: ignore[arg-type]
        results.append(get_weights(model))
        accuracy = (predict(model, VALID).argmax(axis=1) == VALID.labels).mean()
        assert accuracy == pytest.approx(max(point.metrics["accuracy"] for point in points))
        assert accuracy > 0.9
    for name, value in results[0].items():
        np.testing.assert_array_equal(value, results[2][name], err_msg=name)


def test_few_labels_are_trained_for_min_steps() -> None:
    model = TargetModel(SMALL, CLASSIFIER, SIZE, 2, seed=1)
    points = train_target_model(model, TRAIN.take(np.arange(16)), VALID, 0.01, trainable="all", seed=1).points
    assert points[-1].step == CLASSIFIER.min_steps


@pytest.mark.parametrize("trainable", ["all", "maps"])
def test_a_rest_of_one_document_does_not_lose_the_last_evaluation(trainable: str) -> None:
    """33 documents in batches of 8 are 4 batches, for the last document joins another: no fifth step is waited for."""
    settings = CLASSIFIER.model_copy(update={"epochs": 1, "min_steps": 1, "evaluations": 1})
    model = TargetModel(SMALL, settings, SIZE, 2, seed=1)
    train = TRAIN.take(np.arange(33))
    points = train_target_model(model, train, VALID, 0.01, trainable=trainable, seed=1).points  # type: ignore[arg-type]
    assert [(point.step, point.tokens) for point in points] == [(4, 33)]


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0] * 30 + [2] * 5 + [3] * 10, np.int16)  # no document of class 1
    present = [0, 2, 3]
    found = class_weights(labels, 4, "balanced")
    assert found[present] == pytest.approx(compute_class_weight("balanced", classes=np.array(present), y=labels))
    assert found[labels].mean() == pytest.approx(1.0)
    np.testing.assert_array_equal(class_weights(labels, 4, "none"), np.ones(4))


def test_the_training_loss_is_weighted() -> None:
    """One step over all documents, without dropout: its loss is the weighted mean of the model's own."""
    rare = dataclasses.replace(TRAIN, labels=(np.arange(len(TRAIN)) < 12).astype(np.int16))
    whole: dict[str, object] = {"class_weights": "balanced", "epochs": 1, "min_steps": 1, "evaluations": 1}
    whole |= {"batch_size": len(rare), "dropout": 0.0, "normalise": False, "precision": "float32"}
    dry = SMALL.model_copy(update={"dropout": Dropout(input=0.0, hidden=0.0, output=0.0)})
    model = TargetModel(dry, CLASSIFIER.model_copy(update=whole), SIZE, 2, seed=1)
    before = predict(model, rare)[np.arange(len(rare)), rare.labels]
    weight = np.where(rare.labels == 1, 120 / (2 * 12), 120 / (2 * 108))
    (point,) = train_target_model(model, rare, VALID, 0.01, trainable="all", seed=1).points
    assert point.train_loss == pytest.approx((weight * -np.log(before)).mean(), rel=1e-5)


def test_what_is_selected_by() -> None:
    metrics = {"accuracy": 0.7, "macro_f1": 0.4, "nll": 0.5}
    assert TASKS["classification"].rank(metrics, "accuracy") == (0.7, -0.5)
    assert TASKS["classification"].rank(metrics, "macro_f1") == (0.4, -0.5)
    assert TASKS["classification"].rank(metrics, "nll") == (-0.5, -0.5)

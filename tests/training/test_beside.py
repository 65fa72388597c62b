"""Text that is read while a classifier is trained, on one encoder."""

from collections.abc import Callable

import numpy as np
import pytest

from rnnlm.evaluation.language_model import score_documents
from rnnlm.model.checkpoint import Weights, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.settings import ClassifierTraining, Dropout, LanguageModelTraining, Model
from rnnlm.tokens import Text
from rnnlm.training.beside import Beside
from rnnlm.training.target_model import train_target_model

BOS, EOS, SIZE = 2, 3, 30
MODEL = Model(embedding=8, hidden=6, dropout=Dropout(input=0.1))
TRAINING = ClassifierTraining(epochs=1, min_steps=10, batch_size=4, evaluations=1)
READING = LanguageModelTraining(epochs=2, batch_size=2, window=8, learning_rate=0.02, vary_window=True)


@pytest.fixture(scope="module")
def text(encoded: Callable[..., Text]) -> Text:
    """Text in which every token tells the next one."""
    starts = np.random.default_rng(1).integers(4, SIZE, 40)
    return encoded(*[[BOS, *[4 + int(start + n) % (SIZE - 4) for n in range(12)], EOS] for start in starts], size=SIZE)


@pytest.fixture(scope="module")
def labelled(encoded: Callable[..., Text]) -> Text:
    generator = np.random.default_rng(2)
    documents = encoded(*[[BOS, *generator.integers(4, SIZE, 6).tolist(), EOS] for _ in range(20)])
    labels = np.arange(20, dtype=np.int16) % 2
    return documents.__class__(**(vars(documents) | {"labels": labels}))


def trained(labelled: Text, beside: Callable[[TargetModel], Beside] | None) -> Weights:
    model = TargetModel(MODEL, TRAINING, SIZE, 2, seed=5)
    reading = beside(model) if beside else None
    train_target_model(model, labelled, labelled, 0.01, trainable="all", seed=1, beside=reading)
    return get_weights(model)


def test_each_part_is_read_when_it_is_due(text: Text) -> None:
    """However many steps the classifier takes, the whole plan is read, evenly."""
    model = TargetModel(MODEL, TRAINING, SIZE, 2)
    for steps in (1, 7, 100):
        reading = Beside(model, {}, text, READING, seed=3)
        taken = []
        for step in range(steps):
            reading(step, steps)
            taken.append(reading._taken)
        expected = [-(-(step + 1) * reading.steps // steps) for step in range(steps)]
        assert taken == expected
        assert taken[-1] == reading.steps > 50


def test_the_encoder_learns_from_both(text: Text, labelled: Text) -> None:
    softmax = get_weights(LanguageModel(MODEL, SIZE, 9, text.counts()))

    def reading(model: TargetModel) -> Beside:
        return Beside(model, softmax, text, READING, seed=3)

    alone, both = trained(labelled, None), trained(labelled, reading)
    perplexities = []
    for weights in (alone, both):
        model = LanguageModel(MODEL, SIZE)
        names = get_weights(model)
        set_weights(
            model, names | {name: softmax[name] for name in names} | {n: weights[n] for n in names if n in weights}
        )
        perplexities.append(score_documents(model, text).metrics["perplexity"])
    assert perplexities[1] < 0.7 * perplexities[0]
    assert not np.array_equal(alone["head/kernel"], both["head/kernel"])
    again = trained(labelled, reading)
    for name, array in both.items():
        np.testing.assert_array_equal(array, again[name])


def test_a_rate_of_nothing_changes_nothing(text: Text, labelled: Text) -> None:
    still = READING.model_copy(update={"learning_rate": 1e-30, "weight_decay": 0.0})
    alone = trained(labelled, None)
    both = trained(labelled, lambda model: Beside(model, {}, text, still, seed=3))
    for name, array in alone.items():
        np.testing.assert_array_equal(array, both[name])


def test_the_softmax_begins_as_given(text: Text) -> None:
    model = TargetModel(MODEL, TRAINING, SIZE, 2, seed=5)
    before = get_weights(model)
    softmax = get_weights(LanguageModel(MODEL, SIZE, 9, text.counts()))
    reading = Beside(model, softmax, text, READING, seed=3)
    np.testing.assert_array_equal(get_weights(reading._step.model)["softmax_bias"], softmax["softmax_bias"])
    for name, array in before.items():
        np.testing.assert_array_equal(array, get_weights(model)[name])

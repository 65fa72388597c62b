"""A model's description is compared with its weights before anything is built."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from rnnlm import settings as config
from rnnlm.errors import DataError
from rnnlm.model.checkpoint import Checkpoint, Description, get_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel

NUMBERS = {"mean": 3.0, "deviation": 1.5, "low": 1.0, "high": 5.0}


def settings(**named: Any) -> config.Model:
    return config.Model(embedding=8, hidden=12, layers=2, **named)


def language_model(cell: Any = "lstm", softmax: Any = "exact", vocabulary: int = 50) -> Checkpoint:
    own = settings(cell=cell, softmax=softmax)
    description = Description(kind="language_model", settings=own, vocabulary_size=vocabulary)
    return Checkpoint(description, get_weights(LanguageModel(own, vocabulary)))


def target_model(kind: str, labels: list[str], **named: Any) -> Checkpoint:
    trainings = {
        "classifier": config.ClassifierTraining,
        "regressor": config.RegressorTraining,
        "tagger": config.TaggerTraining,
    }
    training: Any = trainings[kind](**named)
    given: Any = {kind: training, "labels": labels, "head": NUMBERS if kind == "regressor" else {}}
    description = Description(kind=training.model, settings=settings(), vocabulary_size=50, **given)
    return Checkpoint(description, get_weights(TargetModel(settings(), training, 50, len(labels))))


MODELS = [
    *[language_model(cell) for cell in ("lstm", "gru", "qrnn")],
    language_model(softmax="adaptive", vocabulary=21_000),
    target_model("classifier", ["a", "b"]),
    target_model("classifier", ["a", "b", "c"], layers="mixed"),
    target_model("classifier", ["a", "b"], pooling="last"),
    target_model("regressor", []),
    target_model("tagger", ["O", "I-x", "B-x"]),
]


@pytest.mark.parametrize("checkpoint", MODELS, ids=lambda one: one.description.kind)
def test_every_model_has_the_weights_that_its_description_asks_for(checkpoint: Checkpoint) -> None:
    assert {name: array.shape for name, array in checkpoint.weights.items()} == checkpoint.description.shapes
    model = checkpoint.build()
    for name, array in get_weights(model).items():
        np.testing.assert_array_equal(array, checkpoint.weights[name])


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": -1.0},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"vocabulary_size": 0},
        {"vocabulary_size": 10**9},
        {"kind": "regressor"},
        {"kind": "language_model"},
        {"labels": ["a"]},
        {"labels": ["a", "a"]},
        {"labels": []},
        {"classifier": None},
        {"tagger": config.TaggerTraining().model_dump()},
    ],
    ids=str,
)
def test_a_description_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    good = target_model("classifier", ["a", "b"]).description.model_dump()
    Description.model_validate(good)
    with pytest.raises(ValidationError):
        Description.model_validate(good | change)


@pytest.mark.parametrize(
    "head", [{}, NUMBERS | {"deviation": 0.0}, NUMBERS | {"low": 9.0}, NUMBERS | {"mean": float("nan")}], ids=str
)
def test_how_outputs_become_numbers_is_needed(head: dict[str, float]) -> None:
    good = target_model("regressor", []).description.model_dump()
    with pytest.raises(ValidationError, match="head: "):
        Description.model_validate(good | {"head": head})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocabulary_size": 9_000_000}, r"embedding/embeddings has the shape \(50, 8\), not \(9000000, 8\)"),
        ({"settings": settings(cell="gru")}, r"gru_0/bias has the shape of nothing, not \(2, 36\)"),
        ({"labels": ["a", "b", "c"]}, r"head/bias has the shape \(1,\), not \(3,\)"),
    ],
    ids=["vocabulary", "cell", "labels"],
)
def test_weights_of_another_model_are_refused_before_it_is_built(change: dict[str, Any], message: str) -> None:
    checkpoint = target_model("classifier", ["a", "b"])
    other = Checkpoint(checkpoint.description.model_copy(update=change), checkpoint.weights)
    with pytest.raises(DataError, match=message):
        other.build()


def test_weights_that_are_no_numbers_are_refused() -> None:
    checkpoint = language_model()
    checkpoint.weights["lstm_1/bias"][3] = np.nan
    with pytest.raises(DataError, match="the weights lstm_1/bias have numbers that are not finite"):
        checkpoint.build()


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    from rnnlm.inference.trained import Trained
    from rnnlm.tokens.kinds import train

    for name, size in (("a", 60), ("b", 100)):
        words = [" ".join(f"{name}{n}" for n in range(size))]
        train(config.Tokenizer(kind="word", vocabulary_size=size), [words] * 3).save(str(tmp_path / f"{name}.json"))
    from rnnlm.tokens import TextTokenizer

    size = TextTokenizer.load(tmp_path / "a.json").size
    language_model(vocabulary=size).save(tmp_path, tmp_path / "b.json")
    with pytest.raises(DataError, match=rf"the tokenizer has \d+ tokens, and the model {size}"):
        Trained.load(tmp_path)

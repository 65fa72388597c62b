"""Tiny language models of random weights, one for each tokenizer, cell and softmax."""

from collections.abc import Callable
from typing import Any

import pytest

from rnnlm import settings as config
from rnnlm.inference.trained import Trained
from rnnlm.model.checkpoint import Checkpoint, Description, get_weights

TEXTS = [
    "the film was a delight , and the cast was fine",
    "the film is not good . it's the end of 1,000 films",
    "一部很好的电影 ， 我很喜欢",
    "فيلم جميل جدا و القصة رائعة",
    "great 😀👍🏽 fun 👨‍👩‍👧",
    "Ein Café, naïve, wie ein schöner Tag",
]

Make = Callable[..., Trained]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make a language model with weights that differ enough for its choices not to be alike."""
    from rnnlm.model.language_model import LanguageModel
    from rnnlm.tokens import TextTokenizer
    from rnnlm.tokens.kinds import train

    made: dict[tuple[Any, ...], Trained] = {}

    def make(kind: Any = "word", cell: Any = "lstm", softmax: Any = "exact", texts: tuple[str, ...] = ()) -> Trained:
        key = kind, cell, softmax, texts
        if key not in made:
            folder = tmp_path_factory.mktemp("model")
            train(config.Tokenizer(kind=kind, vocabulary_size=400), [list(texts or TEXTS)] * 3).save(
                str(folder / "own.json")
            )
            size = TextTokenizer.load(folder / "own.json").size
            settings = config.Model(embedding=8, hidden=12, layers=2, cell=cell, softmax=softmax)
            model = LanguageModel(settings, size, seed=3)
            model.encoder.embedding.embeddings.assign(model.encoder.embedding.embeddings * 6.0)
            description = Description(kind="language_model", settings=settings, vocabulary_size=size)
            Checkpoint(description, get_weights(model)).save(folder, folder / "own.json")
            made[key] = Trained.load(folder)
        return made[key]

    return make


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory, trained: Make) -> Trained:
    """Return a classifier of two classes, with the words of `trained("word")`."""
    from rnnlm.model.target_model import TargetModel

    training, labels = config.ClassifierTraining(max_tokens=16), ["neg", "pos"]
    settings, words = config.Model(embedding=8, hidden=12, layers=2), trained("word").tokenizer
    description = Description(
        kind="classifier", settings=settings, vocabulary_size=words.size, classifier=training, labels=labels
    )
    return Trained(description, words, TargetModel(settings, training, words.size, 2, seed=3))


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let even a tiny vocabulary have groups of rare tokens."""
    import rnnlm.model.adaptive

    monkeypatch.setattr(rnnlm.model.adaptive, "CUTOFFS", (12, 25))

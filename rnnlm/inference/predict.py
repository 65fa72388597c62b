"""What a model of a target task says of a text: its class, a number, or the tags of its words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnlm.corpus.words import UNSEEN, joined, spans, split_words
from rnnlm.errors import ConfigError
from rnnlm.inference.texts import clean, encode, encode_words
from rnnlm.inference.trained import Trained
from rnnlm.targets import Said
from rnnlm.targets.calibration import with_temperature
from rnnlm.targets.entities import entities
from rnnlm.training import target_model


@dataclass(frozen=True)
class Classified:
    """A classifier's answer for a text.

    Attributes:
        label: The most probable class.
        probabilities: The probability of each class, calibrated with the temperature that the validation split chose.
    """

    label: str
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Predicted:
    """A number for a text.

    Attributes:
        value: The number, within the range of the training labels.
    """

    value: float


@dataclass(frozen=True)
class Entity:
    """An entity in a text.

    Attributes:
        type: Its type.
        text: Its words.
        first: The place of its first word among the words.
        words: How many words it has.
    """

    type: str
    text: str
    first: int
    words: int


@dataclass(frozen=True)
class Tagged:
    """The tags of a text's words.

    Attributes:
        words: The words.
        tags: The most probable tag of each.
        probabilities: The probability of each of these, calibrated with the temperature that the validation split
            chose.
        entities: The entities that the tags mark.
    """

    words: list[str]
    tags: list[str]
    probabilities: list[float]
    entities: list[Entity]


def classify(trained: Trained, texts: Sequence[str]) -> list[Classified]:
    """Classify each text. If a text is longer than the model's `max_tokens`, its end is read, as in training.

    Raises:
        ConfigError: If the model is not a classifier.
    """
    labels = trained.description.labels
    probabilities = with_temperature(_said(trained, "classifier", texts), trained.description.temperature)
    return [
        Classified(labels[int(row.argmax())], {label: float(p) for label, p in zip(labels, row, strict=True)})
        for row in probabilities
    ]


def predict(trained: Trained, texts: Sequence[str]) -> list[Predicted]:
    """Predict the number of each text. If a text is longer than the model's `max_tokens`, its end is read.

    Raises:
        ConfigError: If the model does not predict numbers.
    """
    return [Predicted(float(value)) for value in _said(trained, "regressor", texts)]


def tag(trained: Trained, texts: Sequence[str | Sequence[str]]) -> list[Tagged]:
    """Tag the words of each text.

    Args:
        trained: The model.
        texts: The texts. One that is not cut into words is cut by `split_words`.

    Raises:
        ConfigError: If the model does not tag words, or a text is longer than it reads.
    """
    model = trained.target_model("tagger")
    words = [_words(text) for text in texts]
    documents = encode_words(trained.tokenizer, words)
    most = model.training.max_tokens
    for number, length in enumerate(documents.lengths, 1):
        if length > most:
            raise ConfigError(
                f"it has {length:,} tokens, and the model reads {most:,}",
                where=f"text {number}",
                remedy="Part it into sentences.",
            )
    said = with_temperature(target_model.predict(model, documents), trained.description.temperature)
    tags, labels = said.argmax(axis=1), trained.description.labels
    lengths = np.array([len(one) for one in words], np.int64)
    marked = entities(tags, lengths)
    first = np.cumsum(lengths) - lengths
    return [
        Tagged(
            words=list(one),
            tags=[labels[tag] for tag in tags[begin : begin + len(one)]],
            probabilities=[float(p) for p in said[begin : begin + len(one)].max(axis=1)],
            entities=[
                Entity(
                    type=labels[2 * int(marked.types[place]) - 1][2:],
                    text=joined(one[place - begin : marked.ends[place] - begin]),
                    first=int(place - begin),
                    words=int(marked.ends[place] - place),
                )
                for place in begin + np.flatnonzero(marked.begins[begin : begin + len(one)])
            ],
        )
        for one, begin in zip(words, first, strict=True)
    ]


def _words(text: str | Sequence[str]) -> list[str]:
    if isinstance(text, str):
        return split_words(clean(text))
    return [clean(word) or UNSEEN for word in text]


def marked(tagged: Tagged) -> str:
    """Return a tagged text as people read it: `[person Ada Lovelace] was in [location London]`."""
    text, places = joined(tagged.words), spans(tagged.words)
    parts, done = [], 0
    for entity in tagged.entities:
        begin, end = places[entity.first][0], places[entity.first + entity.words - 1][1]
        parts += [text[done:begin], f"[{entity.type} {text[begin:end]}]"]
        done = end
    return "".join([*parts, text[done:]])


def _said(trained: Trained, kind: str, texts: Sequence[str]) -> Said:
    model = trained.target_model(kind)
    return target_model.predict(model, encode(trained.tokenizer, [clean(text) for text in texts]))

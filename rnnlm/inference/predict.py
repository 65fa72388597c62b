"""What a model of a target task says of a text: its class, a number, or the tags of its words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnlm.corpus.words import cleaned, joined, spans, split_words, words_in
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
        probabilities: The probability of each class, calibrated with the temperature that validation chose.
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
        text: Its words, as the text has them.
        start: Its first character in the text.
        end: The character after its last.
    """

    type: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Tagged:
    """The tags of a text's words.

    Attributes:
        text: The cleaned text; of words, what they make.
        words: The words.
        tags: The most probable tag of each.
        probabilities: The probability of each of these, calibrated with the temperature that validation
            chose.
        entities: The entities that the tags mark.
    """

    text: str
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
    """Tag the words of each text, which is read whole, however long it is.

    Args:
        trained: The model.
        texts: The texts, or the words of each. A text is cut into words by `split_words`.

    Raises:
        ConfigError: If the model does not tag words.
    """
    model, labels = trained.target_model("tagger"), trained.description.labels
    cut = [_cut(text) for text in texts]
    words = [words_in(text, places) for text, places in cut]
    documents = encode_words(trained.tokenizer, words)
    said = with_temperature(target_model.predict(model, documents), trained.description.temperature)
    tags, surest = said.argmax(axis=1), said.max(axis=1)
    marked = entities(tags, np.diff(documents.first_words))
    found = []
    for (text, places), one, first in zip(cut, words, documents.first_words, strict=False):
        rows = range(int(first), int(first) + len(one))
        spans_of = {
            row: (places[row - rows.start][0], places[int(marked.ends[row]) - 1 - rows.start][1])
            for row in rows
            if marked.begins[row]
        }
        found.append(
            Tagged(
                text=text,
                words=one,
                tags=[labels[tags[row]] for row in rows],
                probabilities=[float(surest[row]) for row in rows],
                entities=[
                    # The two tags of a type are B and I.
                    Entity(labels[2 * int(marked.types[row])].removeprefix("I-"), text[start:end], start, end)
                    for row, (start, end) in spans_of.items()
                ],
            )
        )
    return found


def _cut(text: str | Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Return a text, cleaned, and where its words are."""
    if isinstance(text, str):
        whole = clean(text)
        return whole, split_words(whole)
    words = cleaned(text, clean)
    return joined(words), spans(words)


def marked(tagged: Tagged) -> str:
    """Return a tagged text as people read it: `[person Ada Lovelace] was in [location London]`."""
    parts, done = [], 0
    for entity in tagged.entities:
        parts += [tagged.text[done : entity.start], f"[{entity.type} {entity.text}]"]
        done = entity.end
    return "".join([*parts, tagged.text[done:]])


def _said(trained: Trained, kind: str, texts: Sequence[str]) -> Said:
    model = trained.target_model(kind)
    return target_model.predict(model, encode(trained.tokenizer, [clean(text) for text in texts]))

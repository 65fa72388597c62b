"""The class of a text."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnlm.evaluation.calibration import with_temperature
from rnnlm.inference.texts import clean, encode
from rnnlm.inference.trained import Trained
from rnnlm.training.classifier import predict


@dataclass(frozen=True)
class Classified:
    """A classifier's answer for a text.

    Attributes:
        label: The most probable class.
        probabilities: The probability of each class, calibrated with the temperature that the validation split chose.
    """

    label: str
    probabilities: dict[str, float]


def classify(trained: Trained, texts: Sequence[str]) -> list[Classified]:
    """Classify each text. If a text is longer than the classifier's `max_tokens`, its end is read, as in training.

    Raises:
        ConfigError: If the model is a language model.
    """
    model, labels = trained.classifier, trained.description.labels
    probabilities = predict(model, encode(trained.tokenizer, [clean(text) for text in texts]))
    return [
        Classified(labels[int(row.argmax())], {label: float(p) for label, p in zip(labels, row, strict=True)})
        for row in with_temperature(probabilities, trained.description.temperature)
    ]

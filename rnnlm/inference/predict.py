"""What a model of a target task says of a text: its class, or a number."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnlm.inference.texts import clean, encode
from rnnlm.inference.trained import Trained
from rnnlm.targets import Said
from rnnlm.targets.calibration import with_temperature
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


def _said(trained: Trained, kind: str, texts: Sequence[str]) -> Said:
    model = trained.target_model(kind)
    return target_model.predict(model, encode(trained.tokenizer, [clean(text) for text in texts]))

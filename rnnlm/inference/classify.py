"""Which class a text is of."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnlm.evaluation.calibration import with_temperature
from rnnlm.inference.texts import clean, encode
from rnnlm.inference.trained import Trained
from rnnlm.training.classifier import predict


@dataclass(frozen=True)
class Classified:
    """What a classifier says of a text.

    Attributes:
        label: The most probable class.
        probabilities: Of each class, calibrated with the temperature that the validation split chose.
    """

    label: str
    probabilities: dict[str, float]


def classify(trained: Trained, texts: Sequence[str]) -> list[Classified]:
    """Classify each text; of one longer than the classifier's `max_tokens` the end is read, as in training.

    Raises:
        ConfigError: If the model is a language model.
    """
    model, labels = trained.classifier, trained.description.labels
    probabilities = predict(model, encode(trained.tokenizer, [clean(text) for text in texts]))
    return [
        Classified(labels[int(row.argmax())], {label: float(p) for label, p in zip(labels, row, strict=True)})
        for row in with_temperature(probabilities, trained.description.temperature)
    ]

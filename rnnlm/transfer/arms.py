"""The arms of a comparison. A new way of transfer is one line here and its name in `rnnlm.config.ArmName`."""

from dataclasses import dataclass
from typing import Literal

from rnnlm.config import ArmName, Trainable


@dataclass(frozen=True)
class Arm:
    """One way to come to a classifier of the target.

    Attributes:
        start: Where the encoder's weights come from: random numbers, a language model of the target text alone, the
            source (fine-tuned on the target text first, where the experiment says so), or the source model as it is.
            tfidf: there is no encoder, words and pairs of words are counted.
        trainable: What is trained on the labels: all weights, the head alone, or linear maps of the encoder's weights
            and the head.
        baseline: Whether the arm does without the source.
    """

    start: Literal["random", "tfidf", "target_text", "source", "source_as_it_is"]
    trainable: Trainable

    @property
    def baseline(self) -> bool:
        """Whether the arm does without the source."""
        return self.start not in ("source", "source_as_it_is")


ARMS: dict[ArmName, Arm] = {
    "scratch": Arm("random", "all"),
    "tfidf": Arm("tfidf", "head"),
    "target_text": Arm("target_text", "all"),
    "direct": Arm("source_as_it_is", "all"),
    "parameter": Arm("source", "all"),
    "linear_map": Arm("source", "maps"),
    "feature": Arm("source", "head"),
}

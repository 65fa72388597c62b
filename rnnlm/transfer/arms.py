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
            tfidf: there is no encoder, words and pairs of words are counted. arms: it is the mean of other arms.
        trainable: What is trained on the labels: all weights, the head alone, or linear maps of the encoder's weights
            and the head.
        beside: Text that the encoder goes on being trained on while the labels are learnt.
        mixed: Whether the states of all layers are pooled, not of the last alone (`layers: mixed`).
        backward: Whether all is read from the last token to the first, from the source on.
        baseline: Whether the arm does without the source.
    """

    start: Literal["random", "tfidf", "target_text", "source", "source_as_it_is", "arms"]
    trainable: Trainable
    beside: Literal["target_text", "source_text"] | None = None
    mixed: bool = False
    backward: bool = False

    @property
    def baseline(self) -> bool:
        """Whether the arm does without the source."""
        return self.start not in ("source", "source_as_it_is", "arms") and self.beside != "source_text"


ARMS: dict[ArmName, Arm] = {
    "scratch": Arm("random", "all"),
    "tfidf": Arm("tfidf", "head"),
    "target_text": Arm("target_text", "all"),
    "direct": Arm("source_as_it_is", "all"),
    "parameter": Arm("source", "all"),
    "auxiliary": Arm("source_as_it_is", "all", "target_text"),
    "multi_task": Arm("random", "all", "source_text"),
    "linear_map": Arm("source", "maps"),
    "feature": Arm("source", "head"),
    "feature_mixed": Arm("source", "head", mixed=True),
    "backward": Arm("source", "all", backward=True),
    "both": Arm("arms", "all"),
}

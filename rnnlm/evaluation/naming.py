"""How arms are called and drawn, in sentences, tables and figures alike."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ArmName:
    """An arm's names and its look.

    Attributes:
        short: In tables and legends.
        phrase: In sentences.
        transfer: Whether it hands something of the source on, and that is all that sets it apart from scratch. The
            others are baselines, the source as it is, and mixtures and means of models, whose gain is not transfer's
            alone.
        look: Place of its colour and marker; arms of one figure have different ones.
    """

    short: str
    phrase: str
    transfer: bool
    look: int


# In the order in which reports list them.
ARM_NAMES = {
    "scratch": ArmName("scratch", "training from scratch", False, 0),
    "tfidf": ArmName("TF-IDF, linear", "logistic regression on TF-IDF", False, 4),
    "kneser_ney": ArmName("Kneser-Ney", "Kneser-Ney", False, 4),
    "good_turing": ArmName("Good-Turing, Katz", "Good-Turing with Katz' back-off", False, 5),
    "target_text": ArmName("target text only", "training on the target text first", False, 1),
    "source": ArmName("source model as it is", "the source model as it is", False, 1),
    "source_cache": ArmName("source model + cache", "the source model with a cache", False, 7),
    "source_dynamic": ArmName("source model, dynamic", "the source model that learns while it reads", False, 8),
    "direct": ArmName("direct transfer", "parameter transfer without the target text", True, 6),
    "parameter": ArmName("parameter transfer", "parameter transfer", True, 2),
    "auxiliary": ArmName("auxiliary loss", "parameter transfer with the target text read beside the labels", True, 7),
    "multi_task": ArmName("multi-task", "training on source text and labels at once", True, 8),
    "linear_map": ArmName("linear map", "a linear map of the parameters", True, 5),
    "feature": ArmName("feature transfer", "feature transfer", True, 3),
    "feature_mixed": ArmName("feature transfer, all layers", "feature transfer of all layers", True, 9),
    "backward": ArmName("parameter transfer, backward", "parameter transfer that reads backwards", True, 10),
    "both": ArmName("both directions", "parameter transfer in both directions", False, 11),
    "scratch_kneser_ney": ArmName("scratch + Kneser-Ney", "training from scratch mixed with Kneser-Ney", False, 3),
    "parameter_kneser_ney": ArmName(
        "parameter transfer + Kneser-Ney", "parameter transfer mixed with Kneser-Ney", False, 6
    ),
}
MIXTURES = ("scratch_kneser_ney", "parameter_kneser_ney")
DIRECTIONS = ("parameter", "backward")  # what `both` is the mean of
# Ways of transfer that have not read the target's text: what the source adds to it cannot be seen in them.
WITHOUT_TARGET_TEXT = ("direct", "multi_task")
OF_SOURCE = ("source", "source_cache", "source_dynamic")  # the source model, without training on the target


def arm_name(arm: str) -> ArmName:
    """Give the names of an arm; an unknown one is a way of transfer and called by its own name."""
    return ARM_NAMES.get(arm) or ArmName(arm, arm, True, len(ARM_NAMES))

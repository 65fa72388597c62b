"""The arms of a comparison. A new one is an entry of ARMS: nothing else in the project knows arms by their names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from rnnlm.arms.arm import (
    Adapted,
    Arm,
    AsItIs,
    Counted,
    LanguageModelFit,
    MeanOf,
    MixedWithNgrams,
    Smoothing,
    Solved,
    SolvedModel,
    Trained,
    TrainedLanguageModel,
)

__all__ = [
    "ARMS",
    "SCRATCH",
    "TARGET_TEXT",
    "Adapted",
    "Arm",
    "ArmName",
    "AsItIs",
    "Counted",
    "MeanOf",
    "MixedWithNgrams",
    "Smoothing",
    "Solved",
    "SolvedModel",
    "Trained",
    "TrainedLanguageModel",
    "arm_named",
    "arms_for",
    "language_model_arm",
]

# In the order in which reports list them.
_ARMS = (
    Arm(
        "scratch",
        "scratch",
        "training from scratch",
        look=0,
        language_model=TrainedLanguageModel(),
        target=Trained(),
    ),
    Arm("tfidf", "TF-IDF, linear", "a linear model on TF-IDF", look=4, tradition=True, target=Solved()),
    Arm(
        "tfidf_source",
        "TF-IDF, source labels too",
        "a linear model on TF-IDF that learnt the source's labels, too",
        look=13,
        tradition=True,
        target=Solved(source_labels=True),
    ),
    Arm(
        "nbsvm",
        "NB-SVM",
        "NB-SVM",
        look=18,
        tradition=True,
        target=Solved("nbsvm"),
    ),
    Arm(
        "embeddings",
        "vectors, linear",
        "a linear model on the vectors of another model",
        look=17,
        tradition=True,
        target=Solved("embeddings"),
    ),
    Arm(
        "crf",
        "CRF",
        "a conditional random field",
        look=4,
        tradition=True,
        target=Solved("crf"),
    ),
    Arm("kneser_ney", "Kneser-Ney", "Kneser-Ney", look=4, tradition=True, language_model=Counted("kneser_ney")),
    Arm(
        "good_turing",
        "Good-Turing, Katz",
        "Good-Turing with Katz' back-off",
        look=5,
        language_model=Counted("good_turing"),
    ),
    Arm(
        "target_text",
        "target text only",
        "training on the target text first",
        look=1,
        target=Trained(start="target_text"),
    ),
    Arm(
        "source",
        "source model as it is",
        "the source model as it is",
        look=1,
        language_model=AsItIs(),
        target=AsItIs(),
    ),
    Arm(
        "source_cache",
        "source model + cache",
        "the source model with a cache",
        look=7,
        language_model=Adapted("source", "cache"),
    ),
    Arm(
        "source_dynamic",
        "source model, dynamic",
        "the source model that learns while it reads",
        look=8,
        language_model=Adapted("source", "dynamic"),
    ),
    Arm(
        "direct",
        "direct transfer",
        "parameter transfer without the target text",
        look=6,
        transfer=True,
        target=Trained(start="source"),
    ),
    Arm(
        "parameter",
        "parameter transfer",
        "parameter transfer",
        look=2,
        transfer=True,
        language_model=TrainedLanguageModel(start="source"),
        target=Trained(start="fine_tuned_source"),
    ),
    Arm(
        "auxiliary",
        "auxiliary loss",
        "parameter transfer with the target text read beside the labels",
        look=7,
        transfer=True,
        target=Trained(start="source", beside="target_text"),
    ),
    Arm(
        "multi_task",
        "multi-task",
        "training on source text and labels at once",
        look=8,
        transfer=True,
        target=Trained(beside="source_text"),
    ),
    Arm(
        "linear_map",
        "linear map",
        "a linear map of the parameters",
        look=5,
        transfer=True,
        target=Trained(start="fine_tuned_source", trainable="maps"),
    ),
    Arm(
        "feature",
        "feature transfer",
        "feature transfer",
        look=3,
        transfer=True,
        target=Trained(start="fine_tuned_source", trainable="head"),
    ),
    Arm(
        "lp_ft",
        "linear probe, then all",
        "parameter transfer that solves the head first",
        look=15,
        transfer=True,
        target=Trained(start="fine_tuned_source", trainable="solved head, then all"),
    ),
    Arm(
        "feature_mixed",
        "feature transfer, all layers",
        "feature transfer of all layers",
        look=9,
        transfer=True,
        target=Trained(start="fine_tuned_source", trainable="head", mixed=True),
    ),
    Arm(
        "backward",
        "parameter transfer, backward",
        "parameter transfer that reads backwards",
        look=10,
        transfer=True,
        language_model=TrainedLanguageModel(start="source", backward=True),
        target=Trained(start="fine_tuned_source", backward=True),
    ),
    Arm(
        "both",
        "both directions",
        "parameter transfer in both directions",
        look=11,
        target=MeanOf(("parameter", "backward")),
    ),
    Arm("mean", "weighted mean", "a weighted mean of several models", look=20, target=MeanOf(weighted=True)),
    Arm(
        "scratch_kneser_ney",
        "scratch + Kneser-Ney",
        "training from scratch mixed with Kneser-Ney",
        look=3,
        language_model=MixedWithNgrams("scratch"),
    ),
    Arm(
        "parameter_kneser_ney",
        "parameter transfer + Kneser-Ney",
        "parameter transfer mixed with Kneser-Ney",
        look=6,
        language_model=MixedWithNgrams("parameter"),
    ),
)
ARMS = {one.name: one for one in _ARMS}

# What every arm is measured against; and what the source's part is measured against.
SCRATCH, TARGET_TEXT = "scratch", "target_text"

# The arms that an experiment may name: those that have a model of the target task.
if TYPE_CHECKING:
    ArmName = str
else:
    ArmName = Literal[tuple(one.name for one in _ARMS if one.target is not None)]


def arms_for(solved: Sequence[str], source_labels: bool = False) -> list[str]:
    """Return the names of the arms that models of a target task may have.

    Args:
        solved: The models of the target task that are solved; others are not for it.
        source_labels: Whether arms that need the source's labels are among them.
    """

    def fits(one: Arm) -> bool:
        match one.target:
            case Solved(model=model, source_labels=needed):
                return model in solved and (source_labels or not needed)
            case AsItIs():
                return source_labels
            case MeanOf(arms=arms):
                return all(fits(ARMS[part]) for part in arms)
        return one.target is not None

    return [one.name for one in _ARMS if fits(one)]


def language_model_arm(fit: LanguageModelFit) -> str:
    """Return the name of the arm whose language model comes about in this way."""
    return next(one.name for one in _ARMS if one.language_model == fit)


def arm_named(name: str) -> Arm:
    """Return an arm; a verdict of another version may name one that is unknown here, and that is a way of transfer."""
    return ARMS.get(name) or Arm(name, name, name, look=len(ARMS), transfer=True)

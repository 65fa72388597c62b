"""What is said where language models alone are compared."""

from collections.abc import Sequence

from rnnlm.arms import SCRATCH, arm_named
from rnnlm.evaluation.verdict import Gain, Recommendation
from rnnlm.refs import ScoreRef


def registered_sentence(name: str, best: ScoreRef, recommended: Sequence[Recommendation]) -> str:
    """Say which language model is registered, and why it is not the recommended arm where it is another one.

    Args:
        name: Name of the experiment.
        best: The language model.
        recommended: The arms to use.
    """
    said = f"Registered as {name}-target: {arm_named(best.arm).phrase}"
    if any(one.task == "language_model" and one.arm != best.arm for one in recommended):
        return f"{said}, the best of the networks; n-grams, caches and mixtures are scored and not registered."
    return f"{said}."


def weak_baseline_sentence(tradition: Sequence[Gain]) -> str:
    """Say that gains are large because what they are measured against is weak; nothing where it is not.

    Args:
        tradition: Gains over Kneser-Ney, that of training from scratch among them.
    """
    weak = any((gain.task, gain.arm, gain.outcome) == ("language_model", SCRATCH, "negative") for gain in tradition)
    if not weak:
        return ""
    return (
        "The gain over training from scratch is not all the source's doing: trained as it was, scratch is worse than "
        "Kneser-Ney. More epochs (target.language_model.epochs) or a smaller model may narrow the gain."
    )

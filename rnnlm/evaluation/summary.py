"""The answer in a few sentences: which model to use, what transfer brought, and how sure that is."""

from collections.abc import Sequence
from typing import NamedTuple

from rnnlm.arms import arm_named
from rnnlm.evaluation.comparison import ways
from rnnlm.evaluation.recommendation import in_one_word
from rnnlm.evaluation.verdict import Gain, Outcome, Recommendation
from rnnlm.targets import measure_of

# What is said of the best gain of an outcome. At first of a way of training, then of models with one seed.
_TRANSFER: dict[Outcome, tuple[str, str]] = {
    "positive": ("Transfer helps the {}:", "The {} is better with transfer:"),
    "negative": ("Transfer hurts the {}; at best", "The {} is worse with transfer; at best"),
    "equal": ("No way of transfer helps the {} by an amount that matters; at best",) * 2,
    "open": ("Whether transfer helps the {} is open; at best",) * 2,
}
_SOURCE: dict[Outcome, tuple[str, str]] = {
    "positive": ("The {} is better with the source than with the target's own text alone:",) * 2,
    "negative": ("The {} is worse with the source than with the target's own text alone; at best",) * 2,
    "equal": ("The {} is not better with the source than with the target's own text alone; at best",) * 2,
    "open": ("Whether the {} is better with the source than with the target's own text alone is open; at best",) * 2,
}


class Statement(NamedTuple):
    """A sentence of the answer.

    Attributes:
        text: The sentence.
        gain: The gain that it names; None if it names none.
    """

    text: str
    gain: Gain | None = None


def summary(found: Sequence[Gain], beyond: Sequence[Gain], chosen: Sequence[Recommendation], no_claim: str = "") -> str:
    """Return the answer as one text.

    Args:
        found: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone.
        chosen: The arms to use.
        no_claim: What to say first if there are too few test documents; empty if there are enough.
    """
    said = [one.text for one in answers(found, beyond, chosen)]
    return " ".join([no_claim, *said] if no_claim else said)


def answers(found: Sequence[Gain], beyond: Sequence[Gain], chosen: Sequence[Recommendation]) -> list[Statement]:
    """Return the sentences of the answer: what to use, then what transfer brought each task.

    Args:
        found: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone.
        chosen: The arms to use.
    """
    transfer = [gain for gain in found if arm_named(gain.arm).transfer]
    said = [Statement(use(chosen))]
    for task in sorted({gain.task for gain in transfer}, key=lambda task: task == "language_model"):
        said.append(_brought([gain for gain in transfer if gain.task == task], _TRANSFER))
        said.append(_brought([gain for gain in beyond if gain.task == task], _SOURCE))
    return [statement for statement in said if statement.text]


def use(chosen: Sequence[Recommendation]) -> str:
    """Say which arm to use; return nothing if none was chosen."""
    tasks = sorted({one.task for one in chosen}, key=lambda task: task == "language_model")
    parts: list[str] = []
    for task in tasks:
        arms = [(one.arm, one.labels) for one in chosen if one.task == task]
        name = arm_named(arms[0][0]).phrase if len({arm for arm, _ in arms}) == 1 else ways(arms)
        parts.append(f"for the {task.replace('_', ' ')}, {'' if parts else 'use '}{name}")
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]}." if said else ""


def best(found: Sequence[Gain]) -> Gain | None:
    """Return the gain that a sentence or a number names: the greatest of those that decide the outcome; None if none.

    Args:
        found: Gains of one task over one baseline.
    """
    outcome = in_one_word(found)
    deciding = [gain for gain in found if gain.outcome == outcome] or list(found)
    return max(deciding, key=lambda gain: gain.gain.value, default=None)


def _brought(found: Sequence[Gain], sentences: dict[Outcome, tuple[str, str]]) -> Statement:
    one, outcome = best(found), in_one_word(found)
    if one is None or outcome not in sentences:
        return Statement("")
    of_training, of_models = sentences[outcome]
    begin = (of_training if one.about == "training" else of_models).format(one.task.replace("_", " "))
    name = ways([(one.arm, one.labels)])
    amount = measure_of(one.task).gained(one.gain.value, one.gain.low, one.gain.high)
    return Statement(f"{begin} {name}, {amount}{', one seed' if one.about == 'models' else ''}.", one)

"""What a comparison comes to: one word for the whole, and the arm to use at each number of labels."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from rnnlm.arms import arm_named
from rnnlm.evaluation.comparison import ways
from rnnlm.evaluation.enough import few
from rnnlm.evaluation.verdict import Gain, Outcome, Recommendation
from rnnlm.refs import ModelKind, ScoreRef
from rnnlm.targets import BITS, TARGETS


def outcome(found: Sequence[Gain], beyond: Sequence[Gain]) -> Outcome:
    """Say in one word whether the source helps the target task.

    `positive` where some way of transfer helps at some number of labels, `negative` where all hurt at all of them,
    `equal` where none is better, and not all are worse, `no claim` where there are too few test documents, else `open`.
    Measured against a start from the target's own text where there is one: what that gives is not the source's doing.
    Models of the target task decide, where there are any.

    Args:
        found: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone.
    """
    return in_one_word(_judged(found, beyond))


def outcomes(found: Sequence[Gain], beyond: Sequence[Gain]) -> dict[ModelKind, Outcome]:
    """Say the same of each task by itself: language models and models of the target task are two questions.

    Args:
        found: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone.
    """
    transfer = [gain for gain in found if arm_named(gain.arm).transfer]
    tasks = dict.fromkeys(gain.task for gain in transfer)
    of_task = {task: [gain for gain in beyond if gain.task == task] for task in tasks}
    return {task: in_one_word(of_task[task] or [gain for gain in transfer if gain.task == task]) for task in tasks}


def in_one_word(judged: Sequence[Gain]) -> Outcome:
    """Return the outcome of gains of one task over one baseline."""
    outcomes = {gain.outcome for gain in judged}
    if "positive" in outcomes:
        return "positive"
    if outcomes == {"no claim"}:
        return "no claim"
    if outcomes == {"negative"}:
        return "negative"
    # Nothing is left open where each is as good or worse.
    return "equal" if outcomes and outcomes <= {"equal", "negative"} else "open"


def recommend(
    scores: Sequence[ScoreRef], select: str, documents: Mapping[tuple[ModelKind, int], int]
) -> list[Recommendation]:
    """Choose the arm to use for each task and number of labels: the best on validation, mean over seeds.

    All arms are considered, the traditional ones and mixtures among them; the test split has no say. Nothing is
    chosen where there are too few documents to choose by.

    Args:
        scores: All cells.
        select: What target models are chosen by; language models by bits per character.
        documents: Number of documents that choose, for each task and number of labels.
    """
    places: dict[tuple[ModelKind, int], dict[str, list[float]]] = {}
    for score in scores:
        if few(documents[score.task, score.labels]):
            continue
        if (value := validated(score, select)) is not None:
            places.setdefault((score.task, score.labels), {}).setdefault(score.arm, []).append(value)
    return [
        Recommendation(task=task, labels=labels, arm=max(arms, key=lambda arm: fmean(arms[arm])))
        for (task, labels), arms in sorted(places.items(), key=lambda place: place[0][1])
    ]


def validated(score: ScoreRef, select: str) -> float | None:
    """Return what validation says of a cell, higher is better; None if its model was not scored there."""
    if score.task == "language_model":
        bits = score.metrics.get(f"valid/{BITS.name}")
        return None if bits is None else -bits
    of_valid = {name.removeprefix("valid/"): v for name, v in score.metrics.items() if name.startswith("valid/")}
    return TARGETS[score.task].rank(of_valid, select)[0] if select in of_valid else None


def recommendation_sentence(found: Sequence[Recommendation]) -> str:
    """Say which arm to use; nothing where nothing was chosen.

    Args:
        found: The chosen arms.
    """
    parts = [
        f"for the {task.replace('_', ' ')} {ways([(one.arm, one.labels) for one in found if one.task == task])}"
        for task in dict.fromkeys(one.task for one in found)
    ]
    return f"What to use, by validation: {'; '.join(parts)}." if parts else ""


def _judged(found: Sequence[Gain], beyond: Sequence[Gain]) -> list[Gain]:
    transfer = [gain for gain in found if arm_named(gain.arm).transfer]
    of_labels = [gain for gain in transfer if gain.task != "language_model"]
    return list(beyond) or of_labels or transfer

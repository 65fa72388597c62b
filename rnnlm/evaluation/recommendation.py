"""What a comparison comes to: one word for the whole, and the arm to use at each number of labels."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

from rnnlm.arms import arm_named
from rnnlm.evaluation.comparison import ways
from rnnlm.evaluation.enough import few
from rnnlm.evaluation.verdict import Gain, Outcome, Recommendation
from rnnlm.refs import ScoreRef
from rnnlm.settings import Select

LOWER_IS_BETTER = ("bits_per_character", "nll")
_WORDS = {"language_model": "the language model", "classifier": "the classifier"}


def outcome(found: Sequence[Gain], beyond: Sequence[Gain]) -> Outcome:
    """Say in one word whether the source helps the target task.

    `positive` where some way of transfer helps at some number of labels, `negative` where all hurt at all of them,
    `no claim` where there are too few test documents.
    Measured against a start from the target's own text where there is one: what that gives is not the source's doing.
    Classifiers decide, where there are any: they are the target task then.

    Args:
        found: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone.
    """
    outcomes = {gain.outcome for gain in _judged(found, beyond)}
    if "positive" in outcomes:
        return "positive"
    if outcomes == {"no claim"}:
        return "no claim"
    return "negative" if outcomes == {"negative"} else "none found"


def recommend(scores: Sequence[ScoreRef], select: Select, documents: Mapping[str, int]) -> list[Recommendation]:
    """Choose the arm to use for each task and number of labels: the best on the validation split, mean over seeds.

    All arms are considered, the traditional ones and mixtures among them; the test split has no say. Nothing is
    chosen for a task with too few validation documents.

    Args:
        scores: All cells.
        select: What the validation split chooses classifiers by; language models by bits per character.
        documents: Number of validation documents of each task.
    """
    places: dict[tuple[Literal["language_model", "classifier"], int], dict[str, list[float]]] = {}
    for score in scores:
        if few(documents[score.task]):
            continue
        metric = "bits_per_character" if score.task == "language_model" else select
        if (value := score.metrics.get(f"valid/{metric}")) is not None:
            arms = places.setdefault((score.task, score.labels), {})
            arms.setdefault(score.arm, []).append(-value if metric in LOWER_IS_BETTER else value)
    return [
        Recommendation(task=task, labels=labels, arm=max(arms, key=lambda arm: fmean(arms[arm])))
        for (task, labels), arms in sorted(places.items(), key=lambda place: place[0][1])
    ]


def recommendation_sentence(found: Sequence[Recommendation]) -> str:
    """Say which arm to use; nothing where nothing was chosen.

    Args:
        found: The chosen arms.
    """
    parts = [
        f"for {words} {ways([(one.arm, one.labels) for one in found if one.task == task])}"
        for task, words in _WORDS.items()
        if any(one.task == task for one in found)
    ]
    return f"What to use, by the validation split: {'; '.join(parts)}." if parts else ""


def summary(found: Sequence[Gain], beyond: Sequence[Gain], chosen: Sequence[Recommendation], no_claim: str = "") -> str:
    """Say what came out in two sentences.

    Args:
        found: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone.
        chosen: The arms to use.
        no_claim: What to say where there are too few test documents.
    """
    judged = _judged(found, beyond)
    sentence = recommendation_sentence(chosen)
    if outcome(found, beyond) == "no claim":
        return f"{no_claim} {sentence}".strip()
    if not judged:
        return sentence
    helpful = [gain for gain in judged if gain.outcome == "positive"]
    best = max(helpful or judged, key=lambda gain: gain.gain.value)
    if helpful:
        return f"{best.sentence} {sentence}".strip()
    said = best.sentence[0].lower() + best.sentence[1:]
    hurts = outcome(found, beyond) == "negative"
    none = "Every way of transfer hurts" if hurts else "No way of transfer was found to help"
    return f"{none}; at best: {said} {sentence}".strip()


def _judged(found: Sequence[Gain], beyond: Sequence[Gain]) -> list[Gain]:
    transfer = [gain for gain in found if arm_named(gain.arm).transfer]
    of_classifiers = [gain for gain in transfer if gain.task == "classifier"]
    return list(beyond) or of_classifiers or transfer

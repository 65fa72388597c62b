"""Whether a new model takes the place of the one in use."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnlm.arms import arm_named
from rnnlm.evaluation.comparison import mcnemar, telling, told_apart
from rnnlm.evaluation.enough import LEAST_DOCUMENTS, counted, few
from rnnlm.evaluation.looks import LEVEL
from rnnlm.evaluation.recommendation import validated
from rnnlm.evaluation.sampling import of_documents
from rnnlm.evaluation.verdict import Interval
from rnnlm.refs import ScoreRef
from rnnlm.targets import BITS, Measure


@dataclass(frozen=True)
class Decision:
    """What was decided, and why.

    Attributes:
        promoted: Whether the challenger becomes champion.
        reason: In words.
        gain: What the challenger gains over the champion on the same documents, in what the task is judged by, with
            its 95 % interval; None if there was no champion, there are too few documents, or the two cannot
            be compared.
    """

    promoted: bool
    reason: str
    gain: Interval | None


class Judged(NamedTuple):
    """How good a model's answers are, on test documents.

    Attributes:
        score: (documents,) how good each answer is, as `TargetTask.scores` has it.
        counts: (documents, counts) what the score is counted from, as `TargetTask.counts` has it.
    """

    score: np.ndarray
    counts: np.ndarray | None = None


def decide(measure: Measure, challenger: Judged, champion: Judged | None, margin: float) -> Decision:
    """Decide by the interval of the gain on the same test documents: only what is surely better takes the place.

    Args:
        measure: What models of the target task are judged by.
        challenger: How good the answers of the new model are.
        champion: The same of the model in use, over the same documents; None if there is none.
        margin: What the gain's interval must be above, in the unit of the measure (a share of documents for accuracy).
    """
    if champion is None:
        return Decision(True, "there was no champion", None)
    documents = min(telling(one.counts, len(one.score)) for one in (challenger, champion))
    if few(documents):
        return _too_few(documents)
    difference = challenger.score - champion.score
    gain = of_documents(difference, np.ones(len(difference))).interval()
    said = (
        f"{measure.difference(gain.value)} than the champion on the same {documents:,} test documents "
        f"({measure.interval(gain.low, gain.high)}"
    )
    apart = told_apart(challenger.counts, champion.counts, difference)
    if measure.counted and gain.low > margin and mcnemar(apart, 0) > LEVEL:
        return Decision(False, f"{said}), but they differ on {counted(apart)} only, which may be chance", gain)
    return _decided(gain, margin, said, f"{measure.factor * margin:g}")


@dataclass(frozen=True)
class Bits:
    """What a language model finds in documents.

    Attributes:
        bits: (documents,) negative log-likelihood of each document in bits.
        characters: (documents,) characters of each document.
        unknown: How many of all tokens are unknown to it.
        vocabulary: Its tokens.
    """

    bits: np.ndarray
    characters: np.ndarray
    unknown: int
    vocabulary: tuple[str, ...]


def decide_language_model(both: tuple[Bits, Bits] | None, margin: float) -> Decision:
    """Decide the same between language models, by the bits per character that the new one saves.

    Args:
        both: The new model and the one in use, over the same test documents; None if none is in use.
        margin: What the interval of the saving must be above, in bits per character.
    """
    if both is None:
        return Decision(True, "there was no champion", None)
    challenger, champion = both
    if few(len(champion.bits)):
        return _too_few(len(champion.bits))
    if challenger.vocabulary != champion.vocabulary and (challenger.unknown or champion.unknown):
        # The fewer words a model knows, the more of them cost it no more than `<unk>` does.
        reason = (
            "its vocabulary is not the champion's, and words that are unknown to one of them make bits per character "
            "incomparable: a person may promote it in MLflow"
        )
        return Decision(False, reason, None)
    weight = champion.characters.astype(np.float64)
    gain = of_documents(champion.bits - challenger.bits, weight).interval()
    said = (
        f"{BITS.difference(gain.value)} than the champion on the same {len(weight):,} test documents "
        f"({BITS.interval(gain.low, gain.high)}"
    )
    return _decided(gain, margin, said, f"{margin:g}")


def _too_few(documents: int) -> Decision:
    reason = f"the test split has {counted(documents)}, and to replace the champion takes {LEAST_DOCUMENTS}"
    return Decision(False, reason, None)


def _decided(gain: Interval, margin: float, said: str, wanted: str) -> Decision:
    above = f"a margin of {wanted}" if margin else "zero"
    if gain.low > margin:
        return Decision(True, f"{said}, above {above})", gain)
    return Decision(False, f"{said}, not above {above})", gain)


def best_cell(cells: Sequence[ScoreRef], select: str) -> ScoreRef:
    """Choose the model to be put to use: of those with the most labels, the best on validation.

    Arms that leave no model behind (solved ones, n-grams, mixtures and means of others) cannot be used. The source as
    it is has its own place in the registry. Models that read backwards, which are asked with their texts turned round,
    cannot be used either.

    Args:
        cells: The target models of a comparison, or its language models.
        select: What target models are chosen by; language models by bits per character.
    """
    there = [cell for cell in cells if (cell.path / "weights.safetensors").is_file()]
    models = [cell for cell in there if not arm_named(cell.arm).backward]
    most = max(cell.labels for cell in models)
    of_most = [(validated(cell, select), cell) for cell in models if cell.labels == most]
    return max(of_most, key=lambda one: -math.inf if one[0] is None else one[0])[1]

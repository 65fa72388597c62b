"""What a cell cost before it began: the models that it starts from."""

from collections.abc import Sequence

from rnnlm.evaluation.comparison import TARGET_TEXT
from rnnlm.evaluation.naming import DIRECTIONS, MIXTURES, OF_SOURCE, arm_name
from rnnlm.refs import ScoreRef


def seconds_before(score: ScoreRef, source_seconds: float, scores: Sequence[ScoreRef]) -> float:
    """Give the seconds of what a cell starts from: the source model, and a language model of the target.

    They were spent once for all cells that start there; a cell that stood alone would have to spend them. A source
    model that reads backwards is counted as what the other one took.

    Args:
        score: The cell.
        source_seconds: What the source model took.
        scores: All cells; the language models among them.
    """
    models = {one.arm: one.seconds for one in scores if one.task == "language_model"}
    arm = score.arm
    if score.task == "language_model":
        if arm in MIXTURES:
            recurrent = arm.removesuffix("_kneser_ney")
            return models.get(recurrent, 0.0) + (source_seconds if arm_name(recurrent).transfer else 0.0)
        return source_seconds if arm in OF_SOURCE or arm_name(arm).transfer else 0.0
    if arm == TARGET_TEXT:
        return models.get("scratch", 0.0)
    if arm == "both":
        cells = [one for one in scores if (one.task, one.labels, one.seed) == (score.task, score.labels, score.seed)]
        parts = [one for one in cells if one.arm in DIRECTIONS]
        return sum(one.seconds + seconds_before(one, source_seconds, scores) for one in parts)
    if arm == "multi_task":
        return 0.0
    if arm in ("direct", "auxiliary"):
        return source_seconds
    return (
        source_seconds + models.get("backward" if arm == "backward" else "parameter", 0.0)
        if arm_name(arm).transfer
        else 0.0
    )

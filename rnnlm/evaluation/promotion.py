"""Whether a new model takes the place of the one in use."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnnlm.config import Select
from rnnlm.evaluation.comparison import paired_bootstrap
from rnnlm.evaluation.enough import LEAST_DOCUMENTS, counted, few
from rnnlm.evaluation.verdict import Interval
from rnnlm.refs import ScoreRef


@dataclass(frozen=True)
class Decision:
    """What was decided, and why.

    Attributes:
        promoted: Whether the challenger becomes champion.
        reason: In words.
        gain: Accuracy of the challenger over the champion on the same documents, with its 95 % interval; None if there
            was no champion, or there are too few documents.
    """

    promoted: bool
    reason: str
    gain: Interval | None


def decide(challenger: np.ndarray, champion: np.ndarray | None, margin: float) -> Decision:
    """Decide by the interval of the gain on the same test documents: only what is surely better takes the place.

    Args:
        challenger: (documents,) 1 where the new model is right, 0 where it is wrong.
        champion: The same of the model in use, over the same documents; none: there is none.
        margin: What the gain's interval must lie above, as a share of documents.
    """
    if champion is None:
        return Decision(True, "there was no champion", None)
    if few(len(champion)):
        reason = f"the test split has {counted(len(champion))}, and to replace the champion takes {LEAST_DOCUMENTS}"
        return Decision(False, reason, None)
    gain, _ = paired_bootstrap((challenger - champion)[None], np.ones(len(champion)))
    said = (
        f"{100 * gain.value:+.1f} points of accuracy over the champion on the same {len(champion):,} test documents "
        f"(95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
    )
    wanted = f"a margin of {100 * margin:g}" if margin else "zero"
    if gain.low > margin:
        return Decision(True, f"{said}, above {wanted})", gain)
    return Decision(False, f"{said}, not above {wanted})", gain)


def best_cell(cells: Sequence[ScoreRef], select: Select) -> ScoreRef:
    """Choose the classifier to be put to use: of those with the most labels, the best on the validation split.

    Arms that leave no model behind (TF-IDF, means of others) cannot be used.

    Args:
        cells: The classifiers of a comparison.
        select: What the validation split chooses by.
    """
    models = [cell for cell in cells if (cell.path / "weights.safetensors").is_file()]
    most = max(cell.labels for cell in models)
    sign = -1.0 if select == "nll" else 1.0
    return max(
        (cell for cell in models if cell.labels == most), key=lambda cell: sign * cell.metrics[f"valid/{select}"]
    )

"""What each cell said of each test document, read from its folder."""

from collections.abc import Set

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.evaluation.comparison import Predictions
from rnnlm.refs import ScoreRef
from rnnlm.targets import TARGETS

PREDICTIONS = "predictions.parquet"


def predictions_of(score: ScoreRef, leave_out: Set[str] = frozenset()) -> Predictions:
    """Read what a cell said of each test document.

    Args:
        score: The cell.
        leave_out: Ids of documents that are left out.
    """
    table = pq.read_table(checked(score.path / PREDICTIONS))
    if leave_out:
        table = table.filter(pc.invert(pc.is_in(table["id"], value_set=pa.array(sorted(leave_out), pa.string()))))
    counts = None
    if score.task == "language_model":
        values = -table["nll"].to_numpy() / np.log(2.0)
        weight = table["n_characters"].to_numpy().astype(np.float64)
    else:
        task = TARGETS[score.task]
        said, labels = task.said(table), task.labels_of(table)
        values, counts = task.scores(said, labels), task.counts(said, labels)
        weight = np.ones(len(values))
    return Predictions(score.task, score.arm, score.labels, score.seed, values, weight, counts)

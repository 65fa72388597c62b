"""What a verdict says of classes beside scores: which are taken for which."""

import numpy as np
import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.evaluation.confusion import confusion
from rnnlm.evaluation.examples import predictions_of_cells
from rnnlm.evaluation.verdict import Confusion
from rnnlm.refs import ScoreRef
from rnnlm.targets import TASKS
from rnnlm.targets.class_scores import confusion_counts

CLASSES = TASKS["classification"]


def confusions(scores: list[ScoreRef], classes: list[str]) -> list[Confusion]:
    """Return which classes each arm takes for which at its largest number of labels, summed over seeds."""
    classifiers = [score for score in scores if score.task == CLASSES.model]
    found = []
    for arm in dict.fromkeys(score.arm for score in classifiers):
        most = max(score.labels for score in classifiers if score.arm == arm)
        tables = [
            pq.read_table(checked(file)) for file in predictions_of_cells(scores, CLASSES.model, arm, most).values()
        ]
        counts = sum(
            confusion_counts(CLASSES.said(table).argmax(axis=1), table["label"].to_numpy(), len(classes))
            for table in tables
        )
        found.append(confusion(arm, most, len(tables), np.asarray(counts), classes))
    return found

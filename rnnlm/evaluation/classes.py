"""What a verdict says of classes beside scores: which are taken for which, and documents that one arm gets right."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from rnnlm.arms import SCRATCH, arm_named
from rnnlm.evaluation.confusion import confusion
from rnnlm.evaluation.examples import CLASSES, examples, said
from rnnlm.evaluation.verdict import Confusion, Examples, Gain
from rnnlm.refs import DocumentsRef, ScoreRef
from rnnlm.targets.class_scores import confusion_counts


def confusions(scores: list[ScoreRef], classes: list[str]) -> list[Confusion]:
    """Return which classes each arm takes for which at its largest number of labels, summed over seeds."""
    classifiers = [score for score in scores if score.task == CLASSES.model]
    found = []
    for arm in dict.fromkeys(score.arm for score in classifiers):
        most = max(score.labels for score in classifiers if score.arm == arm)
        tables = [pq.read_table(_predictions(score)) for score in _cells_of(scores, arm, most).values()]
        counts = sum(
            confusion_counts(CLASSES.said(table).argmax(axis=1), table["label"].to_numpy(), len(classes))
            for table in tables
        )
        found.append(confusion(arm, most, len(tables), np.asarray(counts), classes))
    return found


def examples_of(
    scores: list[ScoreRef], found: list[Gain], classes: list[str], documents: DocumentsRef
) -> list[Examples]:
    """Return documents that only the best way of transfer gets right, or only scratch, with few and many labels."""
    transfer = [gain for gain in found if gain.task == CLASSES.model and arm_named(gain.arm).transfer]
    numbers = {gain.labels for gain in transfer}
    chosen = []
    for labels in sorted({min(numbers), max(numbers)} if numbers else ()):
        best = max((gain for gain in transfer if gain.labels == labels), key=lambda gain: gain.gain.value)
        arm, scratch = _cells_of(scores, best.arm, labels), _cells_of(scores, SCRATCH, labels)
        seeds = sorted(arm.keys() & scratch.keys())
        both = said([_predictions(arm[n]) for n in seeds]), said([_predictions(scratch[n]) for n in seeds])
        pair = (best.arm, SCRATCH)
        chosen.append(examples(pair, labels, len(seeds), both, classes, documents.file))
    return chosen


def _cells_of(scores: list[ScoreRef], arm: str, labels: int) -> dict[int, ScoreRef]:
    """Return the classifiers of an arm at a number of labels, by seed."""
    return {one.seed: one for one in scores if (one.task, one.arm, one.labels) == (CLASSES.model, arm, labels)}


def _predictions(score: ScoreRef) -> Path:
    return score.path / "predictions.parquet"

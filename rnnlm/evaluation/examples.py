"""Documents that one of two arms answers better with every seed."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.arms import SCRATCH, arm_named
from rnnlm.checksums import checked
from rnnlm.evaluation.verdict import Example, Examples, Gain
from rnnlm.refs import DocumentsRef, LabelKind, ScoreRef
from rnnlm.targets import TargetTask
from rnnlm.targets.entities import entities

MOST = 5  # documents each way
LONGEST = 300  # characters of a text that are shown
MOST_ENTITIES = 10  # of a document that are named
ZERO_WIDTH_JOINER = "\N{ZERO WIDTH JOINER}"
Row = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What one arm said of each test document, at one number of labels.

    Attributes:
        ids: (documents,) their ids.
        labels: (documents,) their labels.
        scores: (seeds, documents) how good each answer is, higher is better.
        sure: (documents,) probability of the true class, in the mean over seeds; None where labels are no classes.
        predicted: (seeds, documents) the answers, in the form of labels.
    """

    ids: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    sure: np.ndarray | None
    predicted: list[np.ndarray]


def examples_of(
    target: TargetTask, scores: list[ScoreRef], found: list[Gain], names: Sequence[str], documents: DocumentsRef
) -> list[Examples]:
    """Return documents that the best way of transfer answers better, or scratch, with few and many labels.

    Args:
        target: The target task.
        scores: All cells.
        found: The gains over scratch.
        names: The classes or tags.
        documents: The target's documents.
    """
    transfer = [gain for gain in found if gain.task == target.model and arm_named(gain.arm).transfer]
    numbers = {gain.labels for gain in transfer}
    chosen = []
    for labels in sorted({min(numbers), max(numbers)} if numbers else ()):
        best = max((gain for gain in transfer if gain.labels == labels), key=lambda gain: gain.gain.value)
        arm, scratch = (predictions_of_cells(scores, target.model, name, labels) for name in (best.arm, SCRATCH))
        seeds = sorted(arm.keys() & scratch.keys())
        both = answers([arm[n] for n in seeds], target), answers([scratch[n] for n in seeds], target)
        chosen.append(examples((best.arm, SCRATCH), labels, both, target.labels, names, documents.file))
    return chosen


def predictions_of_cells(scores: list[ScoreRef], task: str, arm: str, labels: int) -> dict[int, Path]:
    """Return the files of what an arm said of the test documents at a number of labels, by seed."""
    return {
        one.seed: one.path / "predictions.parquet"
        for one in scores
        if (one.task, one.arm, one.labels) == (task, arm, labels)
    }


def answers(files: Sequence[Path], target: TargetTask) -> Answers:
    """Read what the seeds of one arm said of the same documents.

    Args:
        files: A `predictions.parquet` of each seed, at least one.
        target: The target task.
    """
    tables = [pq.read_table(checked(file)) for file in files]
    labels = target.labels_of(tables[0])
    each = [target.said(table) for table in tables]
    return Answers(
        ids=tables[0]["id"].to_numpy(zero_copy_only=False),
        labels=labels,
        scores=np.stack([target.score_alone(said, labels) for said in each]),
        sure=np.mean(each, axis=0)[np.arange(len(labels)), labels] if target.labels == "class" else None,
        predicted=[target.answers(said, labels) for said in each],
    )


def examples(
    arms: tuple[str, str],
    labels: int,
    both: tuple[Answers, Answers],
    kind: LabelKind,
    names: Sequence[str],
    documents: Path,
) -> Examples:
    """Choose the documents that one arm answers better with every seed than the other with any, the clearest first.

    Args:
        arms: An arm and its baseline.
        labels: Number of labels that they learnt from.
        both: What they said.
        kind: What labels are.
        names: The classes or tags.
        documents: The file with the texts, `documents.parquet`.
    """
    arm, baseline = both
    only_arm, only_baseline = _better(arm, baseline), _better(baseline, arm)
    of_arm, of_baseline = _clearest(only_arm, arm, baseline), _clearest(only_baseline, baseline, arm)
    rows = _rows(documents, [arm.ids[place] for place in (*of_arm, *of_baseline)], kind)
    named = _NAMED[kind]

    def shown(place: int, knows: Answers, errs: Answers) -> Example:
        row = rows[knows.ids[place]]
        return Example(
            id=str(knows.ids[place]),
            label=named(knows.labels[place], names, row),
            # The seeds that are nearest to each other: the difference between all others is larger.
            right=named(knows.predicted[knows.scores[:, place].argmin()][place], names, row),
            said=named(errs.predicted[errs.scores[:, place].argmax()][place], names, row),
            probability=None if knows.sure is None else float(knows.sure[place]),
            text=shortened(row["text"]),
        )

    return Examples(
        arm=arms[0],
        baseline=arms[1],
        labels=labels,
        seeds=len(arm.scores),
        documents=len(arm.labels),
        only_arm=len(only_arm),
        only_baseline=len(only_baseline),
        of_arm=[shown(place, arm, baseline) for place in of_arm],
        of_baseline=[shown(place, baseline, arm) for place in of_baseline],
    )


def _better(one: Answers, other: Answers) -> np.ndarray:
    return np.flatnonzero(one.scores.min(axis=0) > other.scores.max(axis=0))


def _clearest(places: np.ndarray, knows: Answers, errs: Answers) -> list[int]:
    """Return the places of the largest differences; where they are equal, of the surest answers."""
    difference = (knows.scores.mean(axis=0) - errs.scores.mean(axis=0))[places]
    sure = np.zeros(len(places)) if knows.sure is None else knows.sure[places]
    return [int(place) for place in places[np.lexsort((-sure, -difference))[:MOST]]]


def _rows(file: Path, ids: list[str], kind: LabelKind) -> dict[str, Row]:
    columns = ["id", "text", *(["words"] if kind == "tags" else [])]
    table = pq.read_table(checked(file), columns=columns, filters=pc.field("id").isin(pa.array(ids, pa.string())))
    return {row["id"]: row for row in table.to_pylist()}


def _entities(tags: np.ndarray, names: Sequence[str], row: Row) -> str:
    """Return the entities of a document, each with its type."""
    begins, ends, types = entities(np.asarray(tags), np.array([len(tags)]))
    spans, text = row["words"], row["text"]
    found = [
        # An odd tag begins an entity: B-PER.
        f"{text[spans[place][0] : spans[ends[place] - 1][1]]} ({names[2 * types[place] - 1][2:]})"
        for place in np.flatnonzero(begins)
    ]
    more = f" and {len(found) - MOST_ENTITIES:,} more" if len(found) > MOST_ENTITIES else ""
    return ", ".join(found[:MOST_ENTITIES]) + more or "no entity"


def _number(number: float, *_: Any) -> str:
    """Return a number with five digits."""
    return f"{float(f'{number:.5g}'):,.15g}"


# How a label is written.
_NAMED: dict[LabelKind, Callable[[Any, Sequence[str], Row], str]] = {
    "class": lambda label, names, _: names[label],
    "number": _number,
    "tags": _entities,
}


def shortened(text: str, longest: int = LONGEST) -> str:
    """Cut a text between two words, or between two characters where the script does not part words.

    White space is made single spaces. A letter keeps the marks on it, and what is joined to it.

    Args:
        text: The text.
        longest: Characters at most, the dots at the end not counted.
    """
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    end = line.rfind(" ", 0, longest + 1)
    if end < longest // 2:
        end = longest
        while end > 1 and _belongs_to_the_one_before(line, end):
            end -= 1
    return line[:end].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def _belongs_to_the_one_before(line: str, place: int) -> bool:
    """Return whether a character is a mark on the one before it, or joined to it."""
    character = line[place]
    # Marks, variation selectors; a joiner and what it joins; the skin tones of emoji.
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or ZERO_WIDTH_JOINER in (character, line[place - 1])
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )

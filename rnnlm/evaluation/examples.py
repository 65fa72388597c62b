"""Documents that only one of two arms gets right."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.evaluation.verdict import Example, Examples
from rnnlm.targets import TASKS

MOST = 5  # documents each way
LONGEST = 300  # characters of a text that are shown
CLASSES = TASKS["classification"]
ZERO_WIDTH_JOINER = "\N{ZERO WIDTH JOINER}"


@dataclass(frozen=True)
class Answers:
    """What one arm said of each test document, at one number of labels.

    Attributes:
        ids: (documents,) their ids.
        labels: (documents,) true class indices.
        right: (documents,) whether every seed was right.
        wrong: (documents,) whether every seed was wrong.
        sure: (documents,) probability of the true class, in the mean over seeds.
        predicted: (documents,) the class that was said, by the mean of the probabilities.
    """

    ids: np.ndarray
    labels: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    sure: np.ndarray
    predicted: np.ndarray


def said(files: Sequence[Path]) -> Answers:
    """Read what the seeds of one arm said of the same documents.

    Args:
        files: A `predictions.parquet` of each seed, at least one.
    """
    tables = [pq.read_table(file) for file in files]
    labels = tables[0]["label"].to_numpy()
    each = np.stack([CLASSES.said(table) for table in tables])
    right = each.argmax(axis=2) == labels
    mean = each.mean(axis=0)
    return Answers(
        ids=tables[0]["id"].to_numpy(zero_copy_only=False),
        labels=labels,
        right=right.all(axis=0),
        wrong=~right.any(axis=0),
        sure=mean[np.arange(len(labels)), labels],
        predicted=mean.argmax(axis=1),
    )


def examples(
    arms: tuple[str, str], labels: int, seeds: int, both: tuple[Answers, Answers], names: Sequence[str], documents: Path
) -> Examples:
    """Choose the documents that one arm gets right with every seed and the other with none, the surest first.

    Args:
        arms: An arm and its baseline.
        labels: Number of labels that they learnt from.
        seeds: Number of seeds.
        both: What they said.
        names: The classes.
        documents: The file with the texts, `documents.parquet`.
    """
    arm, baseline = both
    only_arm, only_baseline = np.flatnonzero(arm.right & baseline.wrong), np.flatnonzero(baseline.right & arm.wrong)
    of_arm, of_baseline = _surest(only_arm, arm), _surest(only_baseline, baseline)
    texts = _texts(documents, [arm.ids[place] for place in (*of_arm, *of_baseline)])

    def shown(place: int, knows: Answers, errs: Answers) -> Example:
        return Example(
            id=str(knows.ids[place]),
            label=names[knows.labels[place]],
            said=names[errs.predicted[place]],
            probability=float(knows.sure[place]),
            text=shortened(texts[knows.ids[place]]),
        )

    return Examples(
        arm=arms[0],
        baseline=arms[1],
        labels=labels,
        seeds=seeds,
        documents=len(arm.labels),
        only_arm=len(only_arm),
        only_baseline=len(only_baseline),
        of_arm=[shown(place, arm, baseline) for place in of_arm],
        of_baseline=[shown(place, baseline, arm) for place in of_baseline],
    )


def _surest(places: np.ndarray, knows: Answers) -> list[int]:
    order = np.argsort(-knows.sure[places], kind="stable")
    return [int(place) for place in places[order[:MOST]]]


def _texts(file: Path, ids: list[str]) -> dict[str, str]:
    table = pq.read_table(file, columns=["id", "text"], filters=pc.field("id").isin(pa.array(ids, pa.string())))
    return dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))


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

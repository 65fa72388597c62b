"""The labelled documents of a cell: the same for every arm, stratified, each subset inside the next larger."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.experiment import Validation
from rnnlm.experiment.validation import FOLDS
from rnnlm.refs import DocumentsRef, TokensRef
from rnnlm.seeds import stream
from rnnlm.targets import TargetTask
from rnnlm.tokens import Text, read_text
from rnnlm.transfer.cell import read_documents


@dataclass(frozen=True)
class Labelled:
    """The labelled documents that a model is trained and chosen on.

    Attributes:
        train: What the model is trained on in the end.
        valid: What it is chosen by.
        folds: What models are trained on to be compared, and what they are compared by. The second parts, one after the
            other, are `valid`. If there is one alone, its first part is `train`.
    """

    train: Text
    valid: Text
    folds: tuple[tuple[Text, Text], ...]

    @property
    def is_cross_validated(self) -> bool:
        """Whether the model that is used is trained once more, on all documents."""
        return len(self.folds) > 1


def labelled_documents(
    task: TargetTask,
    tokens: TokensRef,
    labels: int | None,
    seed: int,
    validation: Validation | None = None,
    documents: DocumentsRef | None = None,
) -> Labelled:
    """Read the labelled documents of a cell.

    Args:
        task: The target task.
        tokens: The target's text.
        labels: The number of labels; if None, all of the training split.
        seed: Seed of the subset and of the folds.
        validation: Which of them choose the model; if None, the whole validation split.
        documents: The target's documents, whose groups are kept together in a cross-validation; if None, there are no
            groups.

    Raises:
        DataError: If no document could be trained on, or none could choose.
    """
    train = read_documents(tokens, "train", labelled=True)
    if validation is None or validation.way == "split":
        valid = read_documents(tokens, "valid", labelled=True)
        train = train if labels is None else _some(task, train, labels, seed)
        return Labelled(train, valid, ((train, valid),))
    assert labels is not None
    if validation.way == "held out":
        valid = _some(task, read_documents(tokens, "valid", labelled=True), validation.documents, seed)
        train = _some(task, train, labels - validation.documents, seed)
        return Labelled(train, valid, ((train, valid),))
    # From each split in the share that it has of all labels, as what is held out where there are more of them.
    valid = read_text(tokens, "valid").labelled()
    from_valid = round(labels * len(valid) / (len(train) + len(valid)))
    drawn = _some(task, train, labels - from_valid, seed).followed_by(_some(task, valid, from_valid, seed))
    places = dealt_to_folds(task.strata(drawn.labels), _groups(drawn, documents), seed)
    parts = tuple((drawn.take(np.setdiff1d(np.arange(labels), part)), drawn.take(part)) for part in places)
    return Labelled(drawn, drawn.take(np.concatenate(places)), parts)


def _groups(text: Text, documents: DocumentsRef | None) -> np.ndarray:
    """Return a number for the group of each document; one without a group has its own."""
    numbers = np.arange(len(text))
    if documents is None:
        return numbers
    table = pq.read_table(checked(documents.file), columns=["id", "group"], filters=pc.field("group").is_valid())
    known = dict(zip(table["id"].to_pylist(), table["group"].to_pylist(), strict=True))
    first: dict[str, int] = {}
    return np.array(
        [first.setdefault(known[name], n) if name in known else n for n, name in enumerate(text.document_ids)]
    )


def dealt_to_folds(strata: np.ndarray, groups: np.ndarray, seed: int) -> list[np.ndarray]:
    """Deal documents out to the folds of a cross-validation.

    Stratum by stratum, groups are dealt out to all folds in turn: so each fold has about its share of each stratum, and
    no group is in two folds. A group counts for the stratum of its first document.

    Args:
        strata: (documents,) class indices, or groups of numbers.
        groups: (documents,) a number for each group.
        seed: Seed of the order.

    Returns:
        Sorted places of the documents of each fold: FOLDS folds, or as many as there are groups.
    """
    _, first, unit = np.unique(groups, return_index=True, return_inverse=True)
    if len(first) == 1:  # what is all of one group cannot be kept together
        first = unit = np.arange(len(strata))
    shuffled = stream(seed, "folds").permutation(len(first))
    order = shuffled[np.argsort(strata[first[shuffled]], kind="stable")]
    number = min(FOLDS, len(first))
    fold = np.empty(len(first), np.int64)
    fold[order] = np.arange(len(first)) % number
    return [np.flatnonzero(fold[unit] == n) for n in range(number)]


def _some(task: TargetTask, text: Text, number: int, seed: int) -> Text:
    return text.take(label_subset(task.strata(text.labels), number, seed) if number else [])


def label_subset(strata: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Choose `size` documents, each stratum in the share that it has among all.

    The documents are brought into one order that does not depend on `size`: shuffled within their stratum, and the
    strata dealt out evenly. A subset is the beginning of that order, so smaller ones are inside larger ones.

    Args:
        strata: (documents,) class indices, or groups of numbers; -1 without a label.
        size: Number of documents to choose, at most the labelled ones.
        seed: Seed of the shuffle.

    Returns:
        Sorted places of the chosen documents.
    """
    generator = stream(seed, "labels")
    labelled = np.flatnonzero(strata >= 0)
    if not 0 < size <= len(labelled):
        raise ValueError(f"a subset of {size} of {len(labelled)} labelled documents")
    position = np.empty(len(strata))
    for stratum in np.unique(strata[labelled]):
        members = generator.permutation(np.flatnonzero(strata == stratum))
        # The n-th of m members is at (n + 1/2) / m of the way, whatever the stratum: so the shares stay even.
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = labelled[np.lexsort((labelled, position[labelled]))]
    return np.sort(order[:size])

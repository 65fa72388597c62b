"""Several models of the target task as one: the mean of what they say."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.errors import DataError
from rnnlm.evaluation.predictions import PREDICTIONS
from rnnlm.experiment import Validation
from rnnlm.refs import DocumentsRef, TokensRef
from rnnlm.store import made_anew
from rnnlm.targets import Said, TargetTask
from rnnlm.tokens import Text
from rnnlm.transfer.cell import VALID, Fitted, read_documents, write_target_model
from rnnlm.transfer.subsets import labelled_documents


def fit_ensemble(
    task: TargetTask,
    cells: Mapping[str, Path],
    tokens: TokensRef,
    labels: int | None,
    seed: int,
    final: Path,
    *,
    validation: Validation | None = None,
    documents: DocumentsRef | None = None,
    weighted: bool = False,
) -> Fitted:
    """Average what models said of the same documents.

    Args:
        task: The target task.
        cells: Folders of the cells, by their arms.
        tokens: The target's tokens.
        labels: Their number of labels; if None, all of the training split.
        seed: Their seed.
        final: Folder to write.
        validation: Which of their labels choose the weights; if None, the whole validation split.
        documents: The target's documents, if they may have groups.
        weighted: Whether it is the task's weighted mean, with the weights that are best on those labels. If not, it is
            the plain mean.

    Raises:
        DataError: If they were not asked about the same documents.
    """
    began = time.perf_counter()
    valid = labelled_documents(task, tokens, labels, seed, validation, documents).valid
    test = read_documents(tokens, "test", labelled=True)
    folders = list(cells.values())
    on_valid, on_test = _said(task, folders, VALID, valid), _said(task, folders, PREDICTIONS, test)
    if not weighted:
        means = np.mean(on_valid, axis=0), np.mean(on_test, axis=0)
        return write_target_model(final, task, (valid, means[0]), (test, means[1]), began)
    weights = task.fit_weights(on_valid, valid.labels)
    shares = weights / weights.sum()
    chosen = {f"share_{arm}": float(share) for arm, share in zip(cells, shares, strict=True)}
    of_valid, of_test = task.weighted(on_valid, shares), task.weighted(on_test, shares)
    return write_target_model(final, task, (valid, of_valid), (test, of_test), began, chosen)


def _said(task: TargetTask, cells: Sequence[Path], name: str, text: Text) -> list[Said]:
    """Read what each cell said, and check that it is of these documents."""
    found = []
    for cell in cells:
        table = pq.read_table(checked(cell / name))
        if table["id"].to_pylist() != text.document_ids.tolist():
            raise DataError("the model saw other documents", where=str(cell), remedy=made_anew(cell))
        found.append(task.said(table))
    return found

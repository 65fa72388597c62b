"""What every cell of the comparison reads and writes, whatever model it trains."""

import contextlib
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rnnlm import kernel
from rnnlm.errors import DataError, StoreError
from rnnlm.evaluation.language_model import DocumentScores, by_document
from rnnlm.evaluation.predictions import PREDICTIONS
from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Checkpoint
from rnnlm.model.precision import Precision
from rnnlm.refs import TokensRef
from rnnlm.store import file_sha256, whole_folder
from rnnlm.targets import Said, TargetTask
from rnnlm.tokens import Text, read_text
from rnnlm.training.state import StateFolder

VALID = "valid.parquet"  # of the documents that choose what PREDICTIONS is of the test split


@dataclass(frozen=True)
class Fitted:
    """A trained and scored model on disk.

    Attributes:
        sha256: Digest of weights and predictions.
        metrics: Scores on the test split (`perplexity`) and of the documents that choose (`valid/perplexity`).
        seconds: Wall-clock time; of a training that was stopped, that of all its processes.
        precision: Type of the large products in training: what `auto` became. float64: a model that is counted.
        states: Training states that nobody needs once the result is recorded.
    """

    sha256: str
    metrics: dict[str, float]
    seconds: float
    precision: Precision | Literal["float64"] = "float64"
    states: tuple[StateFolder, ...] = ()

    @property
    def tags(self) -> dict[str, str]:
        """What its run is tagged with: what computed it, and the digest."""
        tags = {"rnnlm.precision": self.precision, "rnnlm.output": self.sha256}
        if self.precision != "float64":
            tags["rnnlm.kernel"] = kernel.described()
        return tags

    def forget(self) -> None:
        """Remove the states of a cell's trainings, when its result is recorded: nothing can be added to them."""
        for folder in self.states:
            # What cannot be removed is in nobody's way: it is no reason to lose a result.
            with contextlib.suppress(StoreError):
                folder.remove()


def read_documents(tokens: TokensRef, split: str, *, labelled: bool = False, mapped: bool = False) -> Text:
    """Read the documents of a split, or those of them that have a label; there must be one.

    Args:
        tokens: The text.
        split: train, valid or test.
        labelled: Whether documents without a label are left out.
        mapped: Whether the ids are memory-mapped.

    Raises:
        DataError: If there is no such document.
    """
    documents = read_text(tokens, split, mapped=mapped)
    if labelled:
        documents = documents.labelled()
    if len(documents) == 0:
        kind = "labelled " if labelled else ""
        raise DataError(
            f"the {split} split has no {kind}documents",
            where=str(tokens.file),
            remedy=f"Give the corpus a larger valid_share or test_share, or {kind}files for this split.",
        )
    return documents


def language_model_predictions(text: Text, scores: DocumentScores) -> pa.Table:
    """Return the table of what a language model said of each document."""
    return pa.table(
        {
            "id": pa.array(text.document_ids, pa.string()),
            "nll": scores.nll,
            "tokens": scores.tokens,
            "n_characters": scores.n_characters,
        }
    )


def write_language_model(
    final: Path,
    on_valid: tuple[Text, np.ndarray],
    on_test: tuple[Text, np.ndarray],
    began: float,
    chosen: dict[str, float] | None = None,
) -> Fitted:
    """Write the cell of a language model that is not a checkpoint of its own.

    Args:
        final: Folder to write.
        on_valid: The validation split, and the negative log-likelihood of each of its tokens in nats.
        on_test: The same of the test split.
        began: When the work began (`time.perf_counter`).
        chosen: What the validation split chose, by name.
    """
    valid, test = (by_document(losses, text, unknown=True) for text, losses in (on_valid, on_test))
    metrics = test.metrics | {f"valid/{name}": value for name, value in (valid.metrics | (chosen or {})).items()}
    tables = (language_model_predictions(on_valid[0], valid), language_model_predictions(on_test[0], test))
    sha256 = write_cell(final, *tables, metrics, [])
    return Fitted(sha256, metrics, time.perf_counter() - began)


def target_predictions(task: TargetTask, text: Text, said: Said) -> pa.Table:
    """Return the table of what a model of the target task said of each document."""
    return pa.table({"id": pa.array(text.document_ids, pa.string()), **task.table(said, text.labels)})


def write_target_model(
    final: Path,
    task: TargetTask,
    on_valid: tuple[Text, Said],
    on_test: tuple[Text, Said],
    began: float,
    chosen: dict[str, float] | None = None,
) -> Fitted:
    """Write the cell of a model of the target task that is not a checkpoint of its own.

    Args:
        final: Folder to write.
        task: The target task.
        on_valid: The documents that choose, and what the model said of them.
        on_test: The same of the test split.
        began: When the work began (`time.perf_counter`).
        chosen: What they chose, by name.
    """
    metrics = target_metrics(task, on_valid, on_test, chosen or {})
    tables = (target_predictions(task, *on_valid), target_predictions(task, *on_test))
    sha256 = write_cell(final, *tables, metrics, [])
    return Fitted(sha256, metrics, time.perf_counter() - began)


def target_metrics(
    task: TargetTask, on_valid: tuple[Text, Said], on_test: tuple[Text, Said], chosen: dict[str, float]
) -> dict[str, float]:
    """Return the scores of a model of the target task, with what is chosen on validation.

    Args:
        task: The target task.
        on_valid: The documents that choose, and what the model said of them.
        on_test: The same of the test split.
        chosen: What they chose before, by name.
    """
    (valid, of_valid), (test, of_test) = on_valid, on_test
    settled = task.settle(of_valid, valid.labels)
    metrics = task.score_all(of_test, test.labels) | task.settled(of_test, test.labels, settled)
    valid_metrics = task.score_all(of_valid, valid.labels) | chosen | settled
    return metrics | {f"valid/{name}": value for name, value in valid_metrics.items()}


def write_cell(
    final: Path,
    valid: pa.Table,
    test: pa.Table,
    metrics: dict[str, float],
    history: list[Point],
    checkpoint: Checkpoint | None = None,
    tokenizer: Path | None = None,
) -> str:
    """Write a cell's folder, and return the digest of its weights and predictions.

    Args:
        final: Folder to write: `history.json`, `metrics.json`, `valid.parquet`, `predictions.parquet` (of the test
            split), and the checkpoint.
        valid: What the model said of each validation document, for means of models that are weighted by it.
        test: The same of each test document.
        metrics: Its scores.
        history: Its learning curve.
        checkpoint: The model; None if it is quicker made again than read.
        tokenizer: The file of the tokenizer that belongs to the checkpoint.
    """
    with whole_folder(final) as folder:
        digested = [VALID, PREDICTIONS]
        if checkpoint is not None and tokenizer is not None:
            checkpoint.save(folder, tokenizer)
            digested.insert(0, "weights.safetensors")
        (folder / "history.json").write_text(
            json.dumps([point.model_dump() for point in history], indent=1), encoding="utf-8"
        )
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
        pq.write_table(valid, folder / VALID)
        pq.write_table(test, folder / PREDICTIONS)
        parts = [file_sha256(folder / name) for name in digested]
    return hashlib.sha256("".join(parts).encode()).hexdigest()

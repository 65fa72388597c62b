"""The source's classifier, asked about the target as it is."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from rnnlm.errors import DataError
from rnnlm.experiment import Validation
from rnnlm.model.checkpoint import Checkpoint, Description
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import DocumentsRef, TokensRef
from rnnlm.settings import WordMap
from rnnlm.targets import Said, TargetTask
from rnnlm.tokens import Text
from rnnlm.training.target_model import predict
from rnnlm.transfer.cell import Fitted, read_documents, write_target_model
from rnnlm.transfer.start import start_weights
from rnnlm.transfer.subsets import labelled_documents

TINY = 1e-30  # far below any probability that a model means


def fit_source_classifier(
    task: TargetTask,
    source: Path,
    documents: DocumentsRef,
    tokens: TokensRef,
    labels: int | None,
    seed: int,
    final: Path,
    *,
    word_map: WordMap,
    validation: Validation | None = None,
) -> Fitted:
    """Score the source's classifier on the target's test split; it learns no target label.

    Of its classes, those that the target has share the whole probability.

    Args:
        task: The target task.
        source: Folder of the source's classifier.
        documents: The target's documents, for their groups.
        tokens: The same, encoded.
        labels: The number of labels; if None, all of the training split. They choose the temperature, nothing else.
        seed: Seed of the subset.
        final: Folder to write.
        word_map: How the words come to their rows that the source does not know.
        validation: Which of the labels choose the temperature; if None, the whole validation split.

    Raises:
        DataError: If the source lacks a class of the target.
    """
    began = time.perf_counter()
    description = Description.load(source)
    if missing := [label for label in tokens.labels if label not in description.labels]:
        raise DataError(f"the source's classifier does not know the class {missing[0]!r}", where=str(source))
    columns = [description.labels.index(label) for label in tokens.labels]
    weights, coverage = start_weights(source, tokens, word_map)
    model = Checkpoint(description.model_copy(update={"vocabulary_size": tokens.vocabulary_size}), weights).build()
    assert isinstance(model, TargetModel)
    valid = labelled_documents(task, tokens, labels, seed, validation, documents).valid
    test = read_documents(tokens, "test", labelled=True)

    def said(text: Text) -> Said:
        # A document that is surely of another class is of each of these as much as of any other.
        among = predict(model, text)[:, columns].astype(np.float64) + TINY
        return np.asarray(among / among.sum(axis=1, keepdims=True), np.float32)

    fitted = write_target_model(final, task, (valid, said(valid)), (test, said(test)), began)
    return replace(fitted, metrics=fitted.metrics | coverage, precision="float32")

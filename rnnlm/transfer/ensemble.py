"""Several classifiers as one: the mean of what they say."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from rnnlm.errors import DataError
from rnnlm.evaluation.calibration import calibration_metrics, fit_temperature
from rnnlm.evaluation.classification import classification_metrics
from rnnlm.evaluation.examples import probabilities_of
from rnnlm.evaluation.weighting import fit_weights, weighted
from rnnlm.refs import TokensRef
from rnnlm.store import made_anew
from rnnlm.tokens import Text
from rnnlm.transfer.cell import PREDICTIONS, VALID, Fitted, classifier_predictions, read_documents, write_cell


def fit_ensemble(cells: Sequence[Path], tokens: TokensRef, final: Path, *, by_logits: bool = False) -> Fitted:
    """Average what classifiers said of the same documents.

    Args:
        cells: Folders of the cells.
        tokens: The target's tokens.
        final: Folder to write.
        by_logits: Whether it is the mean of their logits, with the weights that are best on the validation split. If
            not, it is the plain mean of their probabilities.

    Raises:
        DataError: If they were not asked about the same documents.
    """
    began = time.perf_counter()
    valid, test = (read_documents(tokens, split, labelled=True) for split in ("valid", "test"))
    on_valid, on_test = _said(cells, VALID, valid), _said(cells, PREDICTIONS, test)
    chosen: dict[str, float] = {}
    if by_logits:
        weights = fit_weights(on_valid, valid.labels)
        shares = weights / weights.sum()
        of_valid, of_test = weighted(on_valid, shares), weighted(on_test, shares)
        chosen = {f"share_{n + 1}": float(share) for n, share in enumerate(shares)}
    else:
        of_valid, of_test = np.mean(on_valid, axis=0), np.mean(on_test, axis=0)
    chosen["temperature"] = fit_temperature(of_valid, valid.labels)
    metrics = classification_metrics(of_test, test.labels)
    metrics |= calibration_metrics(of_test, test.labels, chosen["temperature"])
    valid_metrics = classification_metrics(of_valid, valid.labels) | chosen
    metrics |= {f"valid/{name}": value for name, value in valid_metrics.items()}
    sha256 = write_cell(
        final, classifier_predictions(valid, of_valid), classifier_predictions(test, of_test), metrics, []
    )
    return Fitted(sha256, metrics, time.perf_counter() - began)


def _said(cells: Sequence[Path], name: str, text: Text) -> list[np.ndarray]:
    """Read the probabilities (documents, classes) of each cell, and check that they are of these documents."""
    found = []
    for cell in cells:
        table = pq.read_table(cell / name)
        if table["id"].to_pylist() != text.document_ids.tolist():
            raise DataError("the classifier saw other documents", where=str(cell), remedy=made_anew(cell))
        found.append(probabilities_of(table))
    return found

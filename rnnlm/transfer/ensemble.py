"""Several classifiers as one: the mean of their probabilities."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from rnnlm.errors import DataError
from rnnlm.evaluation.calibration import expected_calibration_error
from rnnlm.evaluation.classification import classification_metrics
from rnnlm.evaluation.examples import probabilities_of
from rnnlm.refs import TokensRef
from rnnlm.store import made_anew
from rnnlm.transfer.cell import Fitted, classifier_predictions, read_documents, write_cell


def fit_ensemble(cells: Sequence[Path], tokens: TokensRef, final: Path) -> Fitted:
    """Average what classifiers said of the same test documents.

    Args:
        cells: Folders of the cells.
        tokens: The target's tokens.
        final: Folder to write.

    Raises:
        DataError: If they were not asked about the same documents.
    """
    began = time.perf_counter()
    test = read_documents(tokens, "test", labelled=True)
    tables = [pq.read_table(cell / "predictions.parquet") for cell in cells]
    for table, cell in zip(tables, cells, strict=True):
        if table["id"].to_pylist() != test.document_ids.tolist():
            raise DataError("the classifier saw other test documents", where=str(cell), remedy=made_anew(cell))
    probabilities = np.mean([probabilities_of(table) for table in tables], axis=0)
    metrics = classification_metrics(probabilities, test.labels)
    # A temperature would have to come from the validation split, of which no predictions are kept.
    metrics["ece"] = expected_calibration_error(probabilities, test.labels)
    predictions = classifier_predictions(test, probabilities)
    sha256 = write_cell(final, predictions, metrics, [])
    return Fitted(sha256, metrics, time.perf_counter() - began)

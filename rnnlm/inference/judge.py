"""How right a classifier is on labelled documents that were not its own."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.inference.classify import classify
from rnnlm.inference.trained import Trained
from rnnlm.refs import DocumentsRef


def right(trained: Trained, documents: DocumentsRef, ids: Sequence[str]) -> np.ndarray:
    """Tell which documents a classifier takes for what they are.

    Args:
        trained: The classifier, with a tokenizer and classes of its own.
        documents: The documents, with their text.
        ids: Which of them.

    Returns:
        (ids,) 1 where it is right, 0 where it is wrong. A class that it does not know it never gets right.
    """
    table = pq.read_table(documents.file, columns=["id", "text", "label"])
    table = table.filter(pc.is_in(table["id"], value_set=pa.array(ids, pa.string())))
    place = {id_: n for n, id_ in enumerate(table["id"].to_pylist())}
    said = classify(trained, table["text"].to_pylist())
    found = [one.label == label for one, label in zip(said, table["label"].to_pylist(), strict=True)]
    return np.array([found[place[id_]] for id_ in ids], np.float64)

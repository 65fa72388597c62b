"""How good a model is on documents that were not its own."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.evaluation.promotion import Bits
from rnnlm.inference.classify import classify
from rnnlm.inference.score import score_each
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
    texts, labels = _columns(documents, ids, "text", "label")
    said = classify(trained, texts)
    return np.array([one.label == label for one, label in zip(said, labels, strict=True)], np.float64)


def bits(trained: Trained, documents: DocumentsRef, ids: Sequence[str]) -> Bits:
    """Score documents with a language model, each by itself.

    Args:
        trained: The language model, with a tokenizer of its own.
        documents: The documents, with their text.
        ids: Which of them.
    """
    (texts,) = _columns(documents, ids, "text")
    scores = score_each(trained, texts)
    unknown = 0 if scores.unknown is None else int(scores.unknown.sum())
    return Bits(scores.nll / np.log(2.0), scores.n_characters, unknown, trained.tokenizer.tokens)


def _columns(documents: DocumentsRef, ids: Sequence[str], *names: str) -> list[list[str]]:
    """Return columns of the documents with these ids, in their order."""
    table = pq.read_table(documents.file, columns=["id", *names])
    place = pc.index_in(pa.array(ids, pa.string()), value_set=table["id"].combine_chunks())
    return [table[name].take(place).to_pylist() for name in names]

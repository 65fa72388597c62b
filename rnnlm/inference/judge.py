"""How good a model is on documents of another corpus."""

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
    """Return which documents a classifier classifies correctly.

    Args:
        trained: The classifier, with its own tokenizer and classes.
        documents: The documents, with their text.
        ids: Which of them.

    Returns:
        (ids,) 1 if it is right, 0 if it is wrong. It is always wrong about a class that it does not know.
    """
    texts, labels = _columns(documents, ids, "text", "label")
    said = classify(trained, texts)
    return np.array([one.label == label for one, label in zip(said, labels, strict=True)], np.float64)


def bits(trained: Trained, documents: DocumentsRef, ids: Sequence[str]) -> Bits:
    """Score documents with a language model, each alone.

    Args:
        trained: The language model, with its own tokenizer.
        documents: The documents, with their text.
        ids: Which of them.
    """
    (texts,) = _columns(documents, ids, "text")
    scores = score_each(trained, texts)
    unknown = 0 if scores.unknown is None else int(scores.unknown.sum())
    return Bits(scores.nll / np.log(2.0), scores.n_characters, unknown, trained.tokenizer.tokens)


def _columns(documents: DocumentsRef, ids: Sequence[str], *names: str) -> list[list[str]]:
    """Return columns of the documents with these ids, in the order of the ids."""
    table = pq.read_table(documents.file, columns=["id", *names])
    place = pc.index_in(pa.array(ids, pa.string()), value_set=table["id"].combine_chunks())
    return [table[name].take(place).to_pylist() for name in names]

"""How good a model is on documents of another corpus."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.corpus.bio import classes_of
from rnnlm.corpus.words import words_in
from rnnlm.evaluation.promotion import Bits, Judged
from rnnlm.inference.predict import classify, predict, tag
from rnnlm.inference.score import score_each
from rnnlm.inference.trained import Trained
from rnnlm.refs import DocumentsRef
from rnnlm.targets import TARGETS
from rnnlm.targets.entities import found


def scores(trained: Trained, documents: DocumentsRef, ids: Sequence[str]) -> Judged:
    """Return how good the answers of a model of a target task are.

    Args:
        trained: The model, with its own tokenizer and classes.
        documents: The documents, with their text.
        ids: Which of them.

    Returns:
        What `TargetTask.scores` and `counts` return. A classifier is always wrong about a class that it does not know,
        and a tagger finds no entity of a type that it does not know.
    """
    if trained.description.kind == "tagger":
        return _tagged(trained, documents, ids)
    texts, labels = _columns(documents, ids, "text", "label")
    if trained.description.kind == "regressor":
        numbers = np.array([one.value for one in predict(trained, texts)])
        return Judged(TARGETS["regressor"].scores(numbers, np.array(labels, np.float64)))
    said = classify(trained, texts)
    return Judged(np.array([one.label == label for one, label in zip(said, labels, strict=True)], np.float64))


def _tagged(trained: Trained, documents: DocumentsRef, ids: Sequence[str]) -> Judged:
    texts, labels, places = _columns(documents, ids, "text", "label", "words")
    words = [words_in(text, of) for text, of in zip(texts, places, strict=True)]
    true = [tags.split() for tags in labels]
    said = [one.tags for one in tag(trained, words)]
    classes = {name: n for n, name in enumerate(classes_of(one for tags in (*true, *said) for one in tags))}
    of_said, of_true = (np.array([classes[one] for tags in both for one in tags], np.int64) for both in (said, true))
    entities = found(of_said, of_true, np.array([len(tags) for tags in true], np.int64))
    return Judged(entities.f1_by_document(), np.stack(entities, axis=1))


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


def _columns(documents: DocumentsRef, ids: Sequence[str], *names: str) -> list[list[Any]]:
    """Return columns of the documents with these ids, in the order of the ids."""
    table = pq.read_table(checked(documents.file), columns=["id", *names])
    place = pc.index_in(pa.array(ids, pa.string()), value_set=table["id"].combine_chunks())
    return [table[name].take(place).to_pylist() for name in names]

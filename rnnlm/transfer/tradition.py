"""What came before neural networks, as cells of the comparison: n-gram models, linear models, and for tags a CRF.

They know nothing of the source. A recurrent model that does not beat them is not worth its hours.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.arms import Smoothing
from rnnlm.corpus.words import words_in
from rnnlm.evaluation.language_model import LONGEST_WORDS, score_tokens
from rnnlm.evaluation.mixture import mixed, mixture_weight
from rnnlm.model.checkpoint import Checkpoint
from rnnlm.ngram import Counts, NgramModel, count, katz, kneser_ney
from rnnlm.refs import SPLITS, DocumentsRef, TokensRef
from rnnlm.settings import ClassWeights
from rnnlm.targets import TargetTask
from rnnlm.tokens import Text
from rnnlm.transfer.cell import Fitted, read_documents, write_language_model, write_target_model
from rnnlm.transfer.subsets import label_subset

SMOOTHINGS: dict[Smoothing, Callable[[Counts], NgramModel]] = {"kneser_ney": kneser_ney, "good_turing": katz}


def fit_ngram(smoothing: Smoothing, order: int, tokens: TokensRef, final: Path) -> Fitted:
    """Count an n-gram model of the target text and score it on the test split.

    Args:
        smoothing: Interpolated modified Kneser-Ney, or Good-Turing with Katz' back-off.
        order: Tokens of the longest n-grams.
        tokens: The text.
        final: Folder to write.
    """
    began = time.perf_counter()
    model = _ngram(smoothing, order, tokens)
    valid, test = (read_documents(tokens, split) for split in ("valid", "test"))
    return write_language_model(final, (valid, model.score_tokens(valid)), (test, model.score_tokens(test)), began)


def fit_mixture(language_model: Path, order: int, tokens: TokensRef, final: Path) -> Fitted:
    """Interpolate a language model with Kneser-Ney; the validation split chooses the weights.

    Args:
        language_model: Folder of the language model, over the same vocabulary.
        order: Tokens of the longest n-grams.
        tokens: The text.
        final: Folder to write.
    """
    began = time.perf_counter()
    ngram = _ngram("kneser_ney", order, tokens)
    recurrent = Checkpoint.load(language_model).language_model()
    valid, test = (read_documents(tokens, split) for split in ("valid", "test"))

    def losses(text: Text) -> tuple[np.ndarray, np.ndarray]:
        return score_tokens(recurrent, text), ngram.score_tokens(text)

    on_valid, on_test = losses(valid), losses(test)
    # What is given costs nothing and says nothing.
    weight = mixture_weight(*(one[valid.predicted] for one in on_valid))
    return write_language_model(
        final,
        (valid, mixed(*on_valid, weight)),
        (test, mixed(*on_test, weight)),
        began,
        {"recurrent_share": weight},
    )


def fit_solved(
    task: TargetTask,
    documents: DocumentsRef,
    tokens: TokensRef,
    labels: int | None,
    seed: int,
    final: Path,
    *,
    select: str,
    class_weights: ClassWeights = "none",
) -> Fitted:
    """Fit what the tradition has for a target task, and score it on the test split.

    It is a linear model on TF-IDF of words and pairs of words, or for tags a conditional random field. It sees the
    labelled documents that the other arms see.

    Args:
        task: The target task.
        documents: The target's documents, with their text.
        tokens: The same, encoded: they say which documents are compared, and in what order.
        labels: Number of labelled training documents to use; if None, all.
        seed: Seed of the label subset.
        final: Folder to write.
        select: What the strength of the penalty is chosen by, on validation.
        class_weights: Whether rare classes count more in training, for classes.
    """
    began = time.perf_counter()
    train, valid, test = (read_documents(tokens, split, labelled=True) for split in SPLITS)
    if labels is not None:
        train = train.take(label_subset(task.strata(train.labels), labels, seed))
    read = _read(documents)
    of_train, *others = ([read[n] for n in text.document_ids] for text in (train, valid, test))
    settings = {"classes": len(tokens.labels), "class_weights": class_weights}
    parted = train.n_characters.sum() / max(1, train.n_words.sum()) <= LONGEST_WORDS
    features, *of_others = task.features(of_train, others, classes=len(tokens.labels), parted=bool(parted))
    found = []
    for strength in task.strengths:
        said = task.solve(features, train.labels, of_others, strength, **settings)
        found.append((task.rank(task.score_all(said[0], valid.labels), select), strength, said))
    _, strength, (of_valid, of_test) = max(found, key=lambda one: one[0])
    return write_target_model(final, task, (valid, of_valid), (test, of_test), began, {"strength": strength})


def _ngram(smoothing: Smoothing, order: int, tokens: TokensRef) -> NgramModel:
    train = read_documents(tokens, "train", mapped=True)
    return SMOOTHINGS[smoothing](count(train, order))


def _read(documents: DocumentsRef) -> dict[str, Any]:
    """Return the text of each labelled document by its id, or its words if it has tags."""
    tagged = documents.label_kind == "tags"
    table = pq.read_table(documents.file, columns=["id", "text", "label", *(["words"] if tagged else [])])
    table = table.filter(pc.is_valid(table["label"]))
    found = table["text"].to_pylist()
    if tagged:
        places = table["words"].to_pylist()
        found = [words_in(text, words) for text, words in zip(found, places, strict=True)]
    return dict(zip(table["id"].to_pylist(), found, strict=True))

"""What is counted or solved, as cells of the comparison: n-gram models, linear models, and for tags a CRF.

They know nothing of the source, but for a linear model that learns its labels; vectors of the documents may come from
any other model. A recurrent model that does not beat them is not worth its hours.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.arms import Smoothing
from rnnlm.checksums import checked
from rnnlm.corpus.words import words_in
from rnnlm.evaluation.language_model import LONGEST_WORDS, score_tokens
from rnnlm.evaluation.mixture import mixed, mixture_weight
from rnnlm.experiment import Validation
from rnnlm.model.checkpoint import Checkpoint
from rnnlm.ngram import Counts, NgramModel, count, katz, kneser_ney
from rnnlm.refs import DocumentsRef, TokensRef
from rnnlm.settings import ClassWeights
from rnnlm.targets import Said, TargetTask
from rnnlm.targets.solver import Options
from rnnlm.tokens import Text
from rnnlm.transfer.cell import Fitted, read_documents, write_language_model, write_target_model
from rnnlm.transfer.subsets import labelled_documents

# What a labelled document of the source counts for, beside one of the target.
SOURCE_WEIGHTS = (1.0, 0.1, 0.01)
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
    model: str | None = None,
    validation: Validation | None = None,
    class_weights: ClassWeights = "none",
    source: DocumentsRef | None = None,
) -> Fitted:
    """Solve a model of a target task, and score it on the test split.

    It sees the labelled documents that the other arms see.

    Args:
        task: The target task.
        documents: The target's documents, with their text.
        tokens: The same, encoded: they say which documents are compared, and in what order.
        labels: The number of labels; if None, all of the training split.
        seed: Seed of the subset.
        final: Folder to write.
        select: The score that the strength of the penalty is chosen by.
        model: One of the task's `solvers`; if None, the first.
        validation: Which of the labels choose it; if None, the whole validation split.
        class_weights: Whether rare classes count more in training, for classes.
        source: Labelled documents of the source, for classes: those of the target's classes in its training split are
            learnt, too. What they count for, beside a document of the target, is chosen together with the strength.
    """
    began = time.perf_counter()
    of = labelled_documents(task, tokens, labels, seed, validation, documents)
    test = read_documents(tokens, "test", labelled=True)
    solver = task.solvers[model or next(iter(task.solvers))]
    read = _read(documents, solver.reads)
    more, classes_of_more = _of_source(source, tokens.labels) if source else ([], np.zeros(0, np.int64))
    choices = list(itertools.product(solver.strengths, SOURCE_WEIGHTS if source else (1.0,)))
    # The same for all folds.
    shape = {
        "classes": len(tokens.labels),
        "parted": bool(of.train.n_characters.sum() / max(1, of.train.n_words.sum()) <= LONGEST_WORDS),
        "characters": float(of.train.n_characters.mean()),
    }

    def solved(train: Text, others: Sequence[Text], choices: Sequence[tuple[float, float]]) -> Iterator[list[Said]]:
        """Yield what the model of each strength and weight says of each other text."""
        of_train, *of_others = ([read[n] for n in text.document_ids] for text in (train, *others))
        features, *asked = solver.features([*of_train, *more], of_others, **shape)
        all_labels = np.concatenate([train.labels, classes_of_more]) if more else train.labels
        for strength, weight in choices:
            weights = np.repeat([1.0, weight], [len(train), len(more)]) if more else None
            yield solver.solve(
                features, all_labels, asked, strength, Options(len(tokens.labels), class_weights, weights)
            )

    at_once = [] if of.is_cross_validated else [test]
    by_fold = [list(solved(train, [valid, *at_once], choices)) for train, valid in of.folds]
    found = []
    for choice, *parts in zip(choices, *by_fold, strict=True):
        said = np.concatenate([part[0] for part in parts])
        found.append((task.rank(task.score_all(said, of.valid.labels), select), choice, said, parts[-1][-1]))
    _, choice, of_valid, of_test = max(found, key=lambda one: one[0])
    if of.is_cross_validated:
        ((of_test,),) = solved(of.train, [test], [choice])
    chosen = {"strength": choice[0]} | ({"source_weight": choice[1]} if source else {})
    return write_target_model(final, task, (of.valid, of_valid), (test, of_test), began, chosen)


def _ngram(smoothing: Smoothing, order: int, tokens: TokensRef) -> NgramModel:
    train = read_documents(tokens, "train", mapped=True)
    return SMOOTHINGS[smoothing](count(train, order))


def _of_source(source: DocumentsRef, classes: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Return the text and the class index of each training document of the source that is of the target's classes."""
    table = pq.read_table(checked(source.file), columns=["text", "label"], filters=[("split", "=", "train")])
    places = pc.index_in(table["label"], pa.array(classes, pa.string()))
    table = table.append_column("class", places).filter(pc.is_valid(places))
    return table["text"].to_pylist(), table["class"].to_numpy().astype(np.int64)


def _read(documents: DocumentsRef, column: str) -> dict[str, Any]:
    """Return the text, the words or the vector of each labelled document by its id."""
    columns = {"text": ["text"], "words": ["text", "words"], "vector": ["vector"]}[column]
    table = pq.read_table(checked(documents.file), columns=["id", "label", *columns])
    table = table.filter(pc.is_valid(table["label"]))
    if column == "words":
        found = [
            words_in(text, words)
            for text, words in zip(table["text"].to_pylist(), table["words"].to_pylist(), strict=True)
        ]
    elif column == "vector":
        found = list(np.stack(table["vector"].to_numpy(zero_copy_only=False)))
    else:
        found = table["text"].to_pylist()
    return dict(zip(table["id"].to_pylist(), found, strict=True))

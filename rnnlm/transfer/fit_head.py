"""The head of a model of the target task, solved on the states of its frozen encoder.

Feature transfer ends with it. LP-FT (linear probing, then fine-tuning: Kumar et al. 2022) starts with it: from a head
that fits, fine-tuning changes the encoder less than from a random one.
"""

import functools
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlm.model.checkpoint import Weights, get_weights, set_weights
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import TokensRef
from rnnlm.settings import WordMap
from rnnlm.store import file_sha256
from rnnlm.targets import TARGETS, Said
from rnnlm.tokens import Text, read_text
from rnnlm.tokens.text import flat
from rnnlm.training.linear_head import STRENGTHS, Linear, solve
from rnnlm.training.target_model import pooled_features, predict
from rnnlm.transfer.cell import Fitted, read_documents
from rnnlm.transfer.start import head_weights, start_weights
from rnnlm.transfer.subsets import Labelled, labelled_documents
from rnnlm.transfer.target_fit import TargetFit, write_fitted

# Numbers of the test split's pooled states that are kept from cell to cell: 500 MB.
MOST_STATES = 125_000_000


class Tried(NamedTuple):
    """What came of a strength of the penalty.

    Attributes:
        strength: The inverse strength.
        of_valid: What was said of the documents that choose.
        on_valid: The scores of that, and the strength.
    """

    strength: float
    of_valid: Said
    on_valid: dict[str, float]


def fit_head(fit: TargetFit, final: Path) -> Fitted:
    """Solve the head of a model of the target task on the states of a frozen encoder, and score it on the test split.

    The documents that choose decide on the strength of the penalty. Each document is read once.

    Args:
        fit: What it is made from. Epochs, learning rates, dropout and ways of fine-tuning are not used.
        final: Folder to write: a checkpoint, `history.json` and `predictions.parquet`.
    """
    began, task = time.perf_counter(), TARGETS[fit.training.model]
    of = labelled_documents(task, fit.tokens, fit.labels, fit.seed, fit.validation, fit.documents)
    test = read_documents(fit.tokens, "test", labelled=True)
    mapped, coverage = start_weights(fit.start, fit.tokens, fit.word_map) if fit.start else ({}, {})
    model = fit.model(fit.training)
    set_weights(model, fit.initial_weights(mapped, fit.seed))
    of_test, elsewhere = _states_of_test(model, fit, test)
    heads = SolvedHeads(fit, of, model, mapped)
    heads.put(of.train)
    said = predict(model, test, of_test)
    weights = get_weights(model)
    best = heads.best
    sha256, metrics = write_fitted(
        fit, model, weights, (of.valid, best.of_valid), (test, said), best.on_valid, coverage, [], final
    )
    # Every cell is charged what it would cost alone.
    return Fitted(sha256, metrics, time.perf_counter() - began + elsewhere, "float32")


class SolvedHeads:
    """The heads of a model on its encoder as it is, with the strength of the penalty that validation chooses.

    Attributes:
        best: The best strength, and what came of it.

    Args:
        fit: What the model is made from.
        of: The labelled documents.
        model: The model, with the weights that the head is to be solved on.
        mapped: The weights of the start over the target's vocabulary; empty if there is none.
    """

    def __init__(self, fit: TargetFit, of: Labelled, model: TargetModel, mapped: Weights) -> None:
        self._model, task = model, TARGETS[fit.training.model]
        everything = of.train if of.is_cross_validated else of.train.followed_by(of.valid)
        self._states = states = _States.of(model, everything)
        self._start = _start(fit, mapped, get_weights(model))
        by_fold = [
            _solved(model, (states, train), self._start, STRENGTHS, (states, valid)) for train, valid in of.folds
        ]
        tried = []
        for n, strength in enumerate(STRENGTHS):
            of_valid = np.concatenate([solved[n][1] for solved in by_fold])
            tried.append(Tried(strength, of_valid, task.score_all(of_valid, of.valid.labels) | {"strength": strength}))
        self.best = max(tried, key=lambda one: task.rank(one.on_valid, fit.training.select))
        chosen = STRENGTHS.index(self.best.strength)
        self._heads = {
            tuple(train.document_ids): solved[chosen][0] for (train, _), solved in zip(of.folds, by_fold, strict=True)
        }

    def put(self, train: Text) -> None:
        """Put the head for some of the documents into the model, with their statistics."""
        name = tuple(train.document_ids)
        if name not in self._heads:
            # From the strongest penalty on, as in each fold.
            strengths = STRENGTHS[: STRENGTHS.index(self.best.strength) + 1]
            self._heads[name] = _solved(self._model, (self._states, train), self._start, strengths)[-1][0]
        features = self._states(train)
        self._model.settle_statistics(features)
        self._model.task_head.prepare(flat(train.labels))
        _put(self._model, self._heads[name])


class _States(NamedTuple):
    """The pooled states of documents, or of their words.

    Attributes:
        values: (rows, width).
        first: (documents + 1,) where the rows of each document begin.
        places: Place of each document by its id.
    """

    values: np.ndarray
    first: np.ndarray
    places: dict[str, int]

    @staticmethod
    def of(model: TargetModel, text: Text) -> "_States":
        first = np.arange(len(text) + 1) if text.words is None else text.first_words
        return _States(pooled_features(model, text), first, {name: n for n, name in enumerate(text.document_ids)})

    def __call__(self, text: Text) -> np.ndarray:
        """Return the rows of some of the documents."""
        places = [self.places[name] for name in text.document_ids]
        rows = np.concatenate([np.arange(self.first[n], self.first[n + 1]) for n in places])
        return np.asarray(self.values[rows])


class _Scale(NamedTuple):
    """How states that are not normalised by the model are standardised, so that a penalty means the same for all.

    Attributes:
        middle: (width,) what is subtracted.
        deviation: (width,) what they are then divided by.
    """

    middle: np.ndarray
    deviation: np.ndarray

    @staticmethod
    def of(inputs: np.ndarray, normalised: bool) -> "_Scale":
        if normalised:
            return _Scale(np.zeros(inputs.shape[1]), np.ones(inputs.shape[1]))
        deviation = inputs.std(axis=0)
        return _Scale(inputs.mean(axis=0), np.where(deviation > 0.0, deviation, 1.0))

    def applied(self, head: Linear) -> Linear:
        """Return the head that says of standardised states what a head says of the states."""
        return Linear(head.kernel * self.deviation[:, None], head.bias + self.middle @ head.kernel)

    def undone(self, head: Linear) -> Linear:
        """Return the head that says of states what a head says of the standardised ones."""
        kernel = head.kernel / self.deviation[:, None]
        return Linear(kernel, head.bias - self.middle @ kernel)


def _solved(
    model: TargetModel,
    train: tuple[_States, Text],
    start: Linear,
    strengths: tuple[float, ...],
    asked: tuple[_States, Text] | None = None,
) -> list[tuple[Linear, Said]]:
    """Return the head of each strength, and what the model then says of other documents.

    Args:
        model: The model; it is left with the statistics of the training documents, and the last head.
        train: The states, and the training documents.
        start: What the penalty pulls towards.
        strengths: Inverse strengths of the penalty.
        asked: The same of the other documents; if None, nothing is asked.
    """
    states, text = train
    features = states(text)
    model.settle_statistics(features)
    # In float32 a search ends early, and another machine repeats it to three digits only.
    inputs = np.asarray(model.head_inputs(features), np.float64)
    scale = _Scale.of(inputs, model.training.normalise)
    inputs = (inputs - scale.middle) / scale.deviation
    start = scale.applied(start)
    labels = model.task_head.prepare(flat(text.labels))
    of_others = asked and (asked[1], asked[0](asked[1]))
    found, near = [], start
    # From the strongest penalty to the weakest, each search begins where the one before ended.
    for strength in strengths:
        near = solve(model.task_head, inputs, labels, start, near, strength)
        head = scale.undone(near)
        _put(model, head)
        found.append((head, predict(model, *of_others) if of_others else np.zeros(0)))
    return found


def _start(fit: TargetFit, mapped: Weights, weights: Weights) -> Linear:
    """Return what the penalty pulls towards: the head of a source with the same classes, or else zero."""
    kept = {}
    if fit.start:
        kept = head_weights(fit.start, mapped, fit.tokens.labels, weights, fit.settings, fit.training)
    names = "head/kernel", "head/bias"
    return Linear(*(np.asarray(kept.get(name, np.zeros_like(weights[name])), np.float64) for name in names))


def _put(model: TargetModel, head: Linear) -> None:
    model.head.kernel.assign(head.kernel.astype(np.float32))
    model.head.bias.assign(head.bias.astype(np.float32))


def _states_of_test(model: TargetModel, fit: TargetFit, test: Text) -> tuple[np.ndarray | None, float]:
    """Return the states of the test split, and the seconds that an earlier cell spent on them; None if too many."""
    if fit.start is None or test.n_rows * model.width > MOST_STATES:
        return None, 0.0
    here = time.perf_counter()
    states, seconds = _kept_states(model, (file_sha256(fit.start / "weights.safetensors"), fit.word_map), fit.tokens)
    return states, seconds - (time.perf_counter() - here)


@functools.lru_cache(maxsize=2)  # of two arms
def _kept_states(model: TargetModel, _: tuple[str, WordMap], tokens: TokensRef) -> tuple[np.ndarray, float]:
    """Compute the pooled states of the test split once for all cells of a frozen encoder.

    The model has been loaded with this encoder; its digest and word map are in the cache's key. Returns the seconds
    that it took, too.
    """
    began = time.perf_counter()
    states = pooled_features(model, read_text(tokens, "test").labelled())
    return states, time.perf_counter() - began

"""One training from labelled documents on disk to a scored model on disk: a cell of the target task.

Arms differ in where the weights start and in what is trained, in nothing else.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlm.evaluation.verdict import Point
from rnnlm.experiment import Validation
from rnnlm.model.checkpoint import Checkpoint, Description, Weights, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.precision import Precision
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import DocumentsRef, TokensRef
from rnnlm.seeds import derived
from rnnlm.settings import FineTuning, LanguageModelTraining, Model, TargetTraining, Trainable, WordMap
from rnnlm.store import file_sha256
from rnnlm.targets import TARGETS, Said
from rnnlm.tokens import Text, read_text
from rnnlm.training.beside import Beside
from rnnlm.training.fisher import fisher_information
from rnnlm.training.precision import choose_precision
from rnnlm.training.progress import Progress, Report, silent
from rnnlm.training.state import StateFolder
from rnnlm.training.target_model import (
    SHARES,
    VERSION,
    Frozen,
    average_with_start,
    pooled_features,
    predict,
    reusable_target_model,
    train_target_model,
)
from rnnlm.transfer.cell import Fitted, read_documents, target_metrics, target_predictions, write_cell
from rnnlm.transfer.fit import start_of, state_folder
from rnnlm.transfer.start import encoder_weights, head_weights, start_weights
from rnnlm.transfer.subsets import labelled_documents

# Numbers of the test split's pooled states that are kept from cell to cell: 500 MB.
MOST_STATES = 125_000_000


class BesideText(NamedTuple):
    """Text that an encoder is trained on while labels are learnt.

    Attributes:
        tokens: The text, over the target's vocabulary.
        training: How it is read.
    """

    tokens: TokensRef
    training: LanguageModelTraining


@dataclass(frozen=True)
class TargetFit:
    """All that a model of the target task depends on.

    Attributes:
        settings: Widths, layers, dropout.
        tokens: The labelled documents.
        training: Epochs, batch, learning rates.
        seed: Seed of the subset of labels, the initial weights, the order and dropout.
        labels: The number of labels; if None, all of the training split.
        validation: Which of them choose the model; if None, the whole validation split.
        documents: The target's documents, if they may have groups.
        start: Folder of a model whose encoder to start from. None: from scratch.
        trainable: All weights, the head alone, or linear maps of the encoder's weights and the head.
        word_map: How words come to their rows that the start does not know.
        beside: Text that the encoder is trained on in between; if None, it is trained on the labels alone.
        known_text: What the start knows, over the target's vocabulary, for ways of fine-tuning that ask how much each
            weight matters to it.
    """

    settings: Model
    tokens: TokensRef
    training: TargetTraining
    seed: int
    labels: int | None = None
    validation: Validation | None = None
    documents: DocumentsRef | None = None
    start: Path | None = None
    trainable: Trainable = "all"
    word_map: WordMap = "exact"
    beside: BesideText | None = None
    known_text: TokensRef | None = None

    @property
    def tuned(self) -> bool:
        """Whether all weights of a pretrained encoder are trained, so that ways of fine-tuning apply."""
        return self.start is not None and self.trainable == "all"


def fit_target_model(fit: TargetFit, final: Path, report: Report = silent, states: Path | None = None) -> Fitted:
    """Train a model of the target task and score it on the test split.

    The documents that choose decide on the best of `training.learning_rates`, of the ways of fine-tuning and of all
    evaluations; the test split is scored once, after that. In a cross-validation each training goes to its end, and the
    best is done once more with all labels.

    Args:
        fit: What is trained.
        final: Folder to write: a checkpoint, `history.json` and `predictions.parquet`.
        report: Called while it trains.
        states: Folder of training states, where a training that was stopped is taken up again; if None, none are kept.
            `Fitted.forget` removes them.
    """
    began, training, task = time.perf_counter(), fit.training, TARGETS[fit.training.model]
    tries = _Tries(fit, report, states)
    best: _Tried | None = None
    # Every arm has as many tries, and the same documents choose among them.
    for way, rate in tries.ways:
        for tried in tries.compare(way, rate):
            if best is None or task.rank(tried.on_valid, training.select) > task.rank(best.on_valid, training.select):
                best = tried
    assert best is not None  # there is at least one learning rate
    model, test, valid = tries.model, tries.test, tries.of.valid
    if tries.of.is_cross_validated:
        best = tries.on_all_labels(best)
    set_weights(model, best.weights)
    of_test = predict(model, test, tries.frozen_test)
    metrics = target_metrics(task, (valid, best.of_valid), (test, of_test), best.on_valid) | tries.coverage
    description = Description(
        kind=training.model,
        settings=fit.settings,
        vocabulary_size=fit.tokens.vocabulary_size,
        labels=fit.tokens.labels,
        temperature=metrics.get("valid/temperature", 1.0),
        head=model.task_head.description(),
        **{training.model: training},
    )
    tables = (target_predictions(task, valid, best.of_valid), target_predictions(task, test, of_test))
    checkpoint = Checkpoint(description, best.weights)
    sha256 = write_cell(final, *tables, metrics, best.history, checkpoint, fit.tokens.tokenizer)
    # Every cell is charged what it would cost alone.
    seconds = tries.seconds_before + time.perf_counter() - began + tries.seconds_elsewhere
    return Fitted(sha256, metrics, seconds, tries.precision, tuple(tries.folders))


class _Tried(NamedTuple):
    """What came of a learning rate, a way of fine-tuning and a share of the trained weights.

    Attributes:
        way: Place of the way of fine-tuning.
        rate: The learning rate.
        share: Share of the trained weights, in an average with those of the start.
        of_valid: What was said of the documents that choose.
        on_valid: The scores of that, and what the model was trained with.
        weights: The model; empty where the folds of a cross-validation were judged.
        history: Its learning curve.
    """

    way: int
    rate: float
    share: float
    of_valid: Said
    on_valid: dict[str, float]
    weights: Weights
    history: list[Point]


class _Tries:
    """What the tries of a fit share: texts, the model, and what it starts from.

    Attributes:
        ways: Ways of fine-tuning, by place, and learning rates: what is tried.
        of: The labelled documents.
        test: The test documents.
        model: The model; other cells of its architecture use it, too.
        coverage: What each rung of the word map took.
        precision: Type of the large products.
        frozen_test: The pooled states of the test documents, where the encoder stays as it is.
        folders: The training states.
        seconds_before: Seconds of processes that were stopped.
        seconds_elsewhere: Seconds that an earlier cell spent on `frozen_test`.
    """

    def __init__(self, fit: TargetFit, report: Report, states: Path | None) -> None:
        self._fit, self._report, self._states = fit, report, states
        self._initial: dict[int, Weights] = {}
        tokens, settings, training = fit.tokens, fit.settings, fit.training
        self._task = TARGETS[training.model]
        self.of = labelled_documents(self._task, tokens, fit.labels, fit.seed, fit.validation, fit.documents)
        self.test = read_documents(tokens, "test", labelled=True)
        self.ways = list(itertools.product(range(len(training.fine_tuning)), training.learning_rates))
        self._parts = len(self.ways) * len(self.of.folds) + self.of.is_cross_validated
        self.folders: list[StateFolder] = []
        self.seconds_before = self.seconds_elsewhere = 0.0
        self._trained = self._steps_before = self._steps = 0
        self._frozen: dict[tuple[int, str], Frozen] = {}
        if self.of.is_cross_validated:
            # The model that is used is trained on other documents, and no fold says when it is to stop.
            training = training.model_copy(update={"evaluations": 1})
        self._mapped, self.coverage = start_weights(fit.start, tokens, fit.word_map) if fit.start else ({}, {})
        size, classes = tokens.vocabulary_size, len(tokens.labels)
        self.model = reusable_target_model(settings, type(training), training.model_dump_json(), size, classes)
        self.precision: Precision = "float32"
        if fit.trainable != "head":
            sizes = size, training.batch_size, training.max_tokens
            self.precision = choose_precision(training.precision, settings, *sizes)
        self.frozen_test: np.ndarray | None = None
        if fit.trainable == "head" and fit.start is not None:
            self._read_frozen(fit.start)
        self._importance = self._fisher() if fit.tuned and training.needs_fisher else None
        self._beside = read_documents(fit.beside.tokens, "train", mapped=True) if fit.beside else None

    def compare(self, way: int, rate: float) -> Iterator[_Tried]:
        """Train with a learning rate and a way of fine-tuning; yield what came of each share of the trained weights."""
        fine_tuning, seed = self._way(way)
        shares = SHARES if fine_tuning.average else (1.0,)
        said: dict[float, list[Said]] = {share: [] for share in shares}
        weights: dict[float, Weights] = {}
        for n, (train, valid) in enumerate(self.of.folds):
            part = f"fold {n}" if self.of.is_cross_validated else ""
            history, trained = self._train(way, rate, train, valid, part)
            for share in shares:
                self._average(way, trained, share, train)
                said[share].append(predict(self.model, valid, self._frozen.get((seed, part), (None, None))[1]))
                if not self.of.is_cross_validated:
                    weights[share] = get_weights(self.model)
        chosen = {"learning_rate": rate, "fine_tuning": float(way)}
        for share in shares:
            of_valid = np.concatenate(said[share])
            on_valid = self._task.score_all(of_valid, self.of.valid.labels) | chosen
            if fine_tuning.average:
                on_valid["share"] = share
            yield _Tried(way, rate, share, of_valid, on_valid, weights.get(share, {}), history)

    def on_all_labels(self, best: _Tried) -> _Tried:
        """Train once more as the best of a cross-validation, on all labels; its scores are those of the folds."""
        history, trained = self._train(best.way, best.rate, self.of.train, None, "all")
        self._average(best.way, trained, best.share, self.of.train)
        scores = self._task.score_all(best.of_valid, self.of.valid.labels)
        history = [point.model_copy(update={"metrics": scores}) for point in history]
        return best._replace(weights=get_weights(self.model), history=history)

    def _average(self, way: int, trained: Weights, share: float, train: Text) -> None:
        """Put the average of the trained weights and the start into the model, if the way of fine-tuning says so."""
        fine_tuning, seed = self._way(way)
        if fine_tuning.average:
            average_with_start(self.model, self._initial_weights(seed), trained, share, train, self._fit.seed)

    def _initial_weights(self, seed: int) -> Weights:
        """Return the weights of the start, the same for all learning rates of a seed."""
        if seed not in self._initial:
            fit = self._fit
            size, classes = fit.tokens.vocabulary_size, len(fit.tokens.labels)
            fresh = get_weights(TargetModel(fit.settings, fit.training, size, classes, seed))
            self._initial[seed] = fresh | encoder_weights(self._mapped, fit.settings)
            if fit.start:
                # A head belongs to its labels: where the target has others, it starts anew.
                kept = head_weights(fit.start, self._mapped, fit.tokens.labels, fresh, fit.settings)
                self._initial[seed] |= kept
        return self._initial[seed]

    def _read_frozen(self, start: Path) -> None:
        if self.test.n_rows * self.model.width > MOST_STATES:
            return
        set_weights(self.model, self._initial_weights(self._fit.seed))
        encoder = file_sha256(start / "weights.safetensors"), self._fit.word_map
        here = time.perf_counter()
        self.frozen_test, seconds = _frozen_states(self.model, encoder, self._fit.tokens)
        self.seconds_elsewhere += seconds - (time.perf_counter() - here)

    def _fisher(self) -> Weights | None:
        if self._fit.known_text is None:
            return None
        known = read_documents(self._fit.known_text, "train", mapped=True)
        knowing = _language_model(self._fit.settings, known, self._mapped, self._fit.seed)
        return fisher_information(knowing, known, seed=self._fit.seed)

    def _way(self, way: int) -> tuple[FineTuning, int]:
        """Return a way of fine-tuning, and the seed of its try; without a use for ways they are other seeds."""
        fit = self._fit
        if fit.tuned:
            return fit.training.fine_tuning[way], fit.seed
        return FineTuning(), derived(fit.seed, "try", way) if way else fit.seed

    def _reading(self, seed: int) -> Beside | None:
        if self._beside is None or self._fit.beside is None:
            return None
        softmax = get_weights(_language_model(self._fit.settings, self._beside, self._mapped, seed))
        return Beside(self.model, softmax, self._beside, self._fit.beside.training, seed=seed)

    def _train(self, way: int, rate: float, train: Text, valid: Text | None, part: str) -> tuple[list[Point], Weights]:
        """Train the model; return the learning curve, and the weights that it ends with."""
        fit, (fine_tuning, seed) = self._fit, self._way(way)
        set_weights(self.model, self._initial_weights(seed))
        folder = self._state_folder(self._states, way, rate, part, train, valid) if self._states else None
        history, before = train_target_model(
            self.model,
            train,
            valid,
            rate,
            trainable=fit.trainable,
            seed=seed,
            fine_tuning=fine_tuning,
            importance=self._importance if fine_tuning.importance == "fisher" else None,
            frozen=self._pooled(seed, part, train, valid) if fit.trainable == "head" else None,
            beside=self._reading(seed),
            report=self._report_part,
            states=folder,
        )
        self._trained += 1
        self._steps_before += self._steps
        self.folders += [folder] if folder else []
        self.seconds_before += before
        return history, get_weights(self.model)

    def _report_part(self, progress: Progress) -> None:
        """Report one of several trainings as a part of one, so that their curves do not overlap."""
        self._steps = progress.steps
        # As if those to come had as many steps.
        steps = self._steps_before + progress.steps * (self._parts - self._trained)
        self._report(dataclasses.replace(progress, step=self._steps_before + progress.step, steps=steps))

    def _pooled(self, seed: int, part: str, train: Text, valid: Text | None) -> Frozen:
        """Return the pooled states of a part's documents; they are the same for all learning rates of a seed."""
        if (seed, part) not in self._frozen:
            self._frozen = {key: states for key, states in self._frozen.items() if key[0] == seed}
            of_valid = None if valid is None else pooled_features(self.model, valid)
            self._frozen[seed, part] = pooled_features(self.model, train), of_valid
        return self._frozen[seed, part]

    def _state_folder(
        self, states: Path, way: int, rate: float, part: str, train: Text, valid: Text | None
    ) -> StateFolder:
        """Return the folder of a training's states."""
        fit, (fine_tuning, seed) = self._fit, self._way(way)
        beside, known = fit.beside, fit.known_text
        of_text = beside and (beside.tokens.sha256, beside.training.model_dump(), _precision(fit.settings, beside))
        content = [
            fit.training.model,
            VERSION,
            fit.settings.model_dump(),
            fit.training.model_dump(exclude={"learning_rates", "fine_tuning"}),
            [fine_tuning.model_dump(), rate, seed, fit.seed, self.precision, fit.trainable, fit.labels],
            [_digest_of(documents.document_ids) if documents is not None else None for documents in (train, valid)],
            part == "all",
            fit.tokens.sha256,
            start_of(fit.start, fit.word_map),
            known.sha256 if known is not None and fine_tuning.importance == "fisher" else None,
            of_text,
        ]
        return state_folder(states, content)


def _language_model(settings: Model, text: Text, start: Weights, seed: int) -> LanguageModel:
    """Build a language model from the weights of a start, as far as it has them; the rest is fresh, for this text."""
    model = LanguageModel(settings, text.vocabulary.size, seed, text.counts())
    set_weights(model, {name: start.get(name, fresh) for name, fresh in get_weights(model).items()})
    return model


@functools.lru_cache(maxsize=2)  # of two arms
def _frozen_states(model: TargetModel, _: tuple[str, WordMap], tokens: TokensRef) -> tuple[np.ndarray, float]:
    """Compute the pooled states of the test split once for all cells of a frozen encoder.

    The model has been loaded with this encoder; its digest and word map are in the cache's key. Returns the seconds
    that it took, too.
    """
    began = time.perf_counter()
    states = pooled_features(model, read_text(tokens, "test").labelled())
    return states, time.perf_counter() - began


def _digest_of(names: np.ndarray) -> str:
    """Return a digest of names in their order."""
    return hashlib.sha256(json.dumps(names.tolist()).encode()).hexdigest()


def _precision(settings: Model, beside: BesideText) -> Precision:
    """Return the type of the products of the language model beside labels."""
    t = beside.training
    return choose_precision(t.precision, settings, beside.tokens.vocabulary_size, t.batch_size, t.window)

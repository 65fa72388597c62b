"""One training from labelled documents on disk to a scored model on disk: a cell of the target task.

Arms differ in where the weights start and in what is trained, in nothing else.
"""

import dataclasses
import hashlib
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Weights, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.precision import Precision
from rnnlm.seeds import derived
from rnnlm.settings import FineTuning, Model
from rnnlm.targets import TARGETS, Said
from rnnlm.tokens import Text
from rnnlm.training.beside import Beside
from rnnlm.training.fisher import fisher_information
from rnnlm.training.precision import choose_precision
from rnnlm.training.progress import Progress, Report, silent
from rnnlm.training.state import StateFolder
from rnnlm.training.target_model import (
    SHARES,
    VERSION,
    average_with_start,
    predict,
    train_target_model,
)
from rnnlm.transfer.cell import Fitted, read_documents
from rnnlm.transfer.fit import start_of, state_folder
from rnnlm.transfer.fit_head import SolvedHeads, fit_head
from rnnlm.transfer.start import start_weights
from rnnlm.transfer.subsets import labelled_documents
from rnnlm.transfer.target_fit import BesideText, TargetFit, write_fitted


def fit_target_model(fit: TargetFit, final: Path, report: Report = silent, states: Path | None = None) -> Fitted:
    """Train a model of the target task, or solve its head on a frozen encoder, and score it on the test split.

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
    if fit.trainable == "head":
        return fit_head(fit, final)
    began, training, task = time.perf_counter(), fit.training, TARGETS[fit.training.model]
    tries = _Tries(fit, report, states)
    best: _Tried | None = None
    # Every arm that is trained has as many tries, and the same documents choose among them.
    for way, rate in tries.ways:
        for tried in tries.compare(way, rate):
            if best is None or task.rank(tried.on_valid, training.select) > task.rank(best.on_valid, training.select):
                best = tried
    assert best is not None  # there is at least one learning rate
    model, test, valid = tries.model, tries.test, tries.of.valid
    if tries.of.is_cross_validated:
        best = tries.on_all_labels(best)
    set_weights(model, best.weights)
    on_valid, on_test = (valid, best.of_valid), (test, predict(model, test))
    sha256, metrics = write_fitted(
        fit, model, best.weights, on_valid, on_test, best.on_valid, tries.coverage, best.history, final
    )
    seconds = tries.seconds_before + time.perf_counter() - began
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
        folders: The training states.
        seconds_before: Seconds of processes that were stopped.
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
        self.seconds_before = 0.0
        self._trained = self._steps_before = self._steps = 0
        if self.of.is_cross_validated:
            # The model that is used is trained on other documents, and no fold says when it is to stop.
            training = training.model_copy(update={"evaluations": 1})
        self._mapped, self.coverage = start_weights(fit.start, tokens, fit.word_map) if fit.start else ({}, {})
        self.model = fit.model(training)
        self._heads: SolvedHeads | None = None
        if fit.trainable == "solved head, then all":
            set_weights(self.model, self._initial_weights(fit.seed))
            self._heads = SolvedHeads(fit, self.of, self.model, self._mapped)
        sizes = tokens.vocabulary_size, training.batch_size, training.max_tokens
        self.precision = choose_precision(training.precision, settings, *sizes)
        self._importance = self._fisher() if fit.tuned and training.needs_fisher else None
        self._beside = read_documents(fit.beside.tokens, "train", mapped=True) if fit.beside else None

    def compare(self, way: int, rate: float) -> Iterator[_Tried]:
        """Train with a learning rate and a way of fine-tuning; yield what came of each share of the trained weights."""
        fine_tuning, _ = self._way(way)
        shares = SHARES if fine_tuning.average else (1.0,)
        said: dict[float, list[Said]] = {share: [] for share in shares}
        weights: dict[float, Weights] = {}
        for n, (train, valid) in enumerate(self.of.folds):
            part = f"fold {n}" if self.of.is_cross_validated else ""
            history, trained = self._train(way, rate, train, valid, part)
            for share in shares:
                self._average(way, trained, share, train)
                said[share].append(predict(self.model, valid))
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
            self._initial[seed] = self._fit.initial_weights(self._mapped, seed)
        return self._initial[seed]

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
        if self._heads is not None:
            self._heads.put(train)
        folder = self._state_folder(self._states, way, rate, part, train, valid) if self._states else None
        history, before = train_target_model(
            self.model,
            train,
            valid,
            rate,
            trainable="maps" if fit.trainable == "maps" else "all",
            seed=seed,
            fine_tuning=fine_tuning,
            importance=self._importance if fine_tuning.importance == "fisher" else None,
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


def _digest_of(names: np.ndarray) -> str:
    """Return a digest of names in their order."""
    return hashlib.sha256(json.dumps(names.tolist()).encode()).hexdigest()


def _precision(settings: Model, beside: BesideText) -> Precision:
    """Return the type of the products of the language model beside labels."""
    t = beside.training
    return choose_precision(t.precision, settings, beside.tokens.vocabulary_size, t.batch_size, t.window)

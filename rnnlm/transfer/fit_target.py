"""One training from labelled documents on disk to a scored model on disk: a cell of the target task.

Arms differ in where the weights start and in what is trained, in nothing else.
"""

import dataclasses
import functools
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Checkpoint, Description, Weights, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.precision import Precision
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import SPLITS, TokensRef
from rnnlm.seeds import derived
from rnnlm.settings import FineTuning, LanguageModelTraining, Model, TargetTraining, Trainable, WordMap
from rnnlm.store import file_sha256
from rnnlm.targets import TARGETS
from rnnlm.tokens import Text, read_text
from rnnlm.training.beside import Beside
from rnnlm.training.fisher import fisher_information
from rnnlm.training.precision import choose_precision
from rnnlm.training.progress import Progress, Report, silent
from rnnlm.training.state import StateFolder
from rnnlm.training.target_model import (
    VERSION,
    average_with_start,
    pooled_features,
    predict,
    reusable_target_model,
    train_target_model,
)
from rnnlm.transfer.cell import Fitted, read_documents, target_metrics, target_predictions, write_cell
from rnnlm.transfer.fit import start_of, state_folder
from rnnlm.transfer.start import encoder_weights, start_weights
from rnnlm.transfer.subsets import label_subset

# Numbers of a split's pooled states that are kept from cell to cell: 500 MB.
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
        seed: Seed of the label subset, the initial weights, the order and dropout.
        labels: Number of labelled training documents to use; if None, all.
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

    The validation split chooses the best of `training.learning_rates` and of all evaluations; the test split is
    scored once, after that.

    Args:
        fit: What is trained.
        final: Folder to write: a checkpoint, `history.json` and `predictions.parquet`.
        report: Called while it trains.
        states: Folder of training states, where a training that was stopped is taken up again; if None, none are kept.
            `Fitted.forget` removes them.
    """
    began, training, task = time.perf_counter(), fit.training, TARGETS[fit.training.model]
    tries = _Tries(fit)
    best: _Tried | None = None
    folders: list[StateFolder] = []
    seconds_before = 0.0
    # Every arm has as many tries, and the validation split chooses among them.
    ways = list(itertools.product(range(len(training.fine_tuning)), training.learning_rates))
    for n, (way, rate) in enumerate(ways):
        folder = tries.state_folder(states, way, rate) if states else None
        folders += [folder] if folder else []
        tried, before = tries.train(way, rate, functools.partial(_report_part, report, n, len(ways)), folder)
        seconds_before += before
        if best is None or task.rank(tried.on_valid, training.select) > task.rank(best.on_valid, training.select):
            best = tried
    assert best is not None  # there is at least one learning rate
    model, valid, test = tries.model, tries.valid, tries.test
    set_weights(model, best.weights)
    of_valid = predict(model, valid, tries.frozen.get("valid"))
    of_test = predict(model, test, tries.frozen.get("test"))
    metrics = target_metrics(task, (valid, of_valid), (test, of_test), best.on_valid) | tries.coverage
    description = Description(
        kind=training.model,
        settings=fit.settings,
        vocabulary_size=fit.tokens.vocabulary_size,
        labels=fit.tokens.labels,
        temperature=metrics.get("valid/temperature", 1.0),
        head=model.task_head.description(),
        **{training.model: training},
    )
    tables = (target_predictions(task, valid, of_valid), target_predictions(task, test, of_test))
    checkpoint = Checkpoint(description, best.weights)
    sha256 = write_cell(final, *tables, metrics, best.history, checkpoint, fit.tokens.tokenizer)
    # Every cell is charged what it would cost alone.
    seconds = seconds_before + time.perf_counter() - began + tries.seconds_elsewhere
    return Fitted(sha256, metrics, seconds, tries.precision, tuple(folders))


class _Tried(NamedTuple):
    """A training with one learning rate and one way of fine-tuning.

    Attributes:
        weights: The weights that were best on the validation split.
        history: The learning curve.
        on_valid: Their scores on the validation split, and what they were trained with.
    """

    weights: Weights
    history: list[Point]
    on_valid: dict[str, float]


class _Tries:
    """What the tries of a fit share: texts, the model, and what it starts from.

    Attributes:
        valid: The validation documents.
        test: The test documents.
        model: The model; other cells of its architecture use it, too.
        coverage: What each rung of the word map took.
        precision: Type of the large products.
        frozen: The pooled states of the validation and test documents, where the encoder stays as it is.
        seconds_elsewhere: Seconds that an earlier cell spent on `frozen`.
    """

    def __init__(self, fit: TargetFit) -> None:
        self._fit = fit
        self._initial: dict[int, Weights] = {}
        tokens, settings, training = fit.tokens, fit.settings, fit.training
        self._train, self.valid, self.test = (read_documents(tokens, split, labelled=True) for split in SPLITS)
        if fit.labels is not None:
            strata = TARGETS[training.model].strata(self._train.labels)
            self._train = self._train.take(label_subset(strata, fit.labels, fit.seed))
        self._mapped, self.coverage = start_weights(fit.start, tokens, fit.word_map) if fit.start else ({}, {})
        size, classes = tokens.vocabulary_size, len(tokens.labels)
        self.model = reusable_target_model(settings, type(training), training.model_dump_json(), size, classes)
        self.precision: Precision = "float32"
        if fit.trainable != "head":
            sizes = size, training.batch_size, training.max_tokens
            self.precision = choose_precision(training.precision, settings, *sizes)
        self.frozen: dict[str, np.ndarray] = {}
        self.seconds_elsewhere = 0.0
        if fit.trainable == "head" and fit.start is not None:
            self._read_frozen(fit.start)
        self._importance = self._fisher() if fit.tuned and training.needs_fisher else None
        self._beside = read_documents(fit.beside.tokens, "train", mapped=True) if fit.beside else None

    def _initial_weights(self, seed: int) -> Weights:
        """Return the weights of the start, the same for all learning rates of a seed."""
        if seed not in self._initial:
            fit = self._fit
            size, classes = fit.tokens.vocabulary_size, len(fit.tokens.labels)
            fresh = get_weights(TargetModel(fit.settings, fit.training, size, classes, seed))
            # The head and the statistics before it belong to the source's labels: they start anew.
            self._initial[seed] = fresh | encoder_weights(self._mapped, fit.settings)
        return self._initial[seed]

    def _read_frozen(self, start: Path) -> None:
        if max(self.valid.n_rows, self.test.n_rows) * self.model.width > MOST_STATES:
            return
        set_weights(self.model, self._initial_weights(self._fit.seed))
        encoder = file_sha256(start / "weights.safetensors"), self._fit.word_map
        for split in ("valid", "test"):
            here = time.perf_counter()
            self.frozen[split], seconds = _frozen_states(self.model, encoder, self._fit.tokens, split)
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

    def train(self, way: int, rate: float, report: Report, states: StateFolder | None) -> tuple[_Tried, float]:
        """Train the model; return what came of it, and the seconds of processes that were stopped."""
        fit, (fine_tuning, seed) = self._fit, self._way(way)
        first = self._initial_weights(seed)
        set_weights(self.model, first)
        history, before = train_target_model(
            self.model,
            self._train,
            self.valid,
            rate,
            trainable=fit.trainable,
            seed=seed,
            fine_tuning=fine_tuning,
            importance=self._importance if fine_tuning.importance == "fisher" else None,
            frozen_valid=self.frozen.get("valid"),
            beside=self._reading(seed),
            report=report,
            states=states,
        )
        rank = TARGETS[fit.training.model].rank
        on_valid = max((point.metrics for point in history), key=lambda metrics: rank(metrics, fit.training.select))
        if fine_tuning.average:
            on_valid = average_with_start(self.model, first, self._train, self.valid, fit.seed)
        chosen = {"learning_rate": rate, "fine_tuning": float(way)}
        return _Tried(get_weights(self.model), history, on_valid | chosen), before

    def state_folder(self, states: Path, way: int, rate: float) -> StateFolder:
        """Return the folder of a try's training states."""
        fit, (fine_tuning, seed) = self._fit, self._way(way)
        beside, known = fit.beside, fit.known_text
        of_text = beside and (beside.tokens.sha256, beside.training.model_dump(), _precision(fit.settings, beside))
        content = [
            fit.training.model,
            VERSION,
            fit.settings.model_dump(),
            fit.training.model_dump(exclude={"learning_rates", "fine_tuning"}),
            [fine_tuning.model_dump(), rate, seed, fit.seed, self.precision, fit.trainable, fit.labels],
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


@functools.lru_cache(maxsize=4)  # valid and test, of two arms
def _frozen_states(
    model: TargetModel, _: tuple[str, WordMap], tokens: TokensRef, split: str
) -> tuple[np.ndarray, float]:
    """Compute the pooled states of a split once for all cells of a frozen encoder, with which the model is loaded.

    The encoder's digest and word map are in the cache's key. Returns the seconds that it took, too.
    """
    began = time.perf_counter()
    states = pooled_features(model, read_text(tokens, split).labelled())
    return states, time.perf_counter() - began


def _report_part(report: Report, part: int, parts: int, progress: Progress) -> None:
    """Report one of several trainings as a part of one, so that their curves do not overlap."""
    step = part * progress.steps + progress.step
    report(dataclasses.replace(progress, step=step, steps=parts * progress.steps))


def _precision(settings: Model, beside: BesideText) -> Precision:
    """Return the type of the products of the language model beside labels."""
    t = beside.training
    return choose_precision(t.precision, settings, beside.tokens.vocabulary_size, t.batch_size, t.window)

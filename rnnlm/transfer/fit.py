"""One training from tokens on disk to a scored model on disk: what pretraining, fine-tuning and baselines share.

They differ in where the weights start and in what is trained, in nothing else.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnlm.evaluation.language_model import score_documents
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
from rnnlm.training.language_model import VERSION, States, train_language_model
from rnnlm.training.precision import choose_precision
from rnnlm.training.progress import Progress, Report
from rnnlm.training.state import StateFolder
from rnnlm.training.target_model import VERSION as TARGET_VERSION
from rnnlm.training.target_model import (
    average_with_start,
    pooled_features,
    predict,
    reusable_target_model,
    train_target_model,
)
from rnnlm.transfer.cell import (
    Fitted,
    language_model_predictions,
    read_documents,
    target_metrics,
    target_predictions,
    write_cell,
)
from rnnlm.transfer.start import encoder_weights, start_weights
from rnnlm.transfer.subsets import label_subset
from rnnlm.transfer.vocabulary import BY_GROUP

# Numbers of a split's pooled states that are kept from cell to cell: 500 MB.
MOST_STATES = 125_000_000


def fit_language_model(
    settings: Model,
    tokens: TokensRef,
    training: LanguageModelTraining | None,
    final: Path,
    *,
    start: Path | None,
    seed: int,
    report: Report,
    states: Path | None = None,
    word_map: WordMap = "exact",
) -> Fitted:
    """Train a language model and score it on the test split.

    Args:
        settings: Widths, layers, dropout.
        tokens: The text.
        training: Epochs, batch, window, learning rate; if None, the start is scored as it is.
        final: Folder to write: a checkpoint, `history.json` and `predictions.parquet`.
        start: Folder of a language model to start from; its rows are mapped to this vocabulary. None: from scratch.
        seed: Seed of the initial weights, the order and dropout.
        report: Called while it trains.
        states: Folder of training states, where a training that was stopped is taken up again; if None, none are kept.
        word_map: How words come to their rows that the start does not know.
    """
    began = time.perf_counter()
    train = read_documents(tokens, "train", mapped=True)
    valid, test = read_documents(tokens, "valid"), read_documents(tokens, "test")
    model = LanguageModel(settings, tokens.vocabulary_size, seed, train.counts())
    coverage: dict[str, float] = {}
    if start is not None:
        # What the source lacks (a larger vocabulary has groups of rare tokens that a small one has not) starts anew.
        fresh = get_weights(model)
        mapped, coverage = start_weights(start, tokens, word_map)
        set_weights(model, {name: fresh[name] for name in BY_GROUP if name in fresh} | mapped)
    history: list[Point] = []
    precision: Precision = "float32"
    seconds_before = 0.0
    if training is not None:
        history, precision, seconds_before = train_language_model(
            model,
            train,
            valid,
            training,
            seed=seed,
            report=report,
            states=_state_folders(states, settings, tokens, training, start, word_map, seed) if states else None,
        )
    # The model ends with the weights of its best evaluation.
    on_valid, on_test = score_documents(model, valid), score_documents(model, test, unknown=True)
    metrics = on_test.metrics | {f"valid/{name}": value for name, value in on_valid.metrics.items()} | coverage
    description = Description(kind="language_model", settings=settings, vocabulary_size=tokens.vocabulary_size)
    checkpoint = Checkpoint(description, get_weights(model))
    tables = (language_model_predictions(valid, on_valid), language_model_predictions(test, on_test))
    sha256 = write_cell(final, *tables, metrics, history, checkpoint, tokens.tokenizer)
    return Fitted(sha256, metrics, seconds_before + time.perf_counter() - began, precision)


class BesideText(NamedTuple):
    """Text that an encoder is trained on while labels are learnt.

    Attributes:
        tokens: The text, over the target's vocabulary.
        training: How it is read.
    """

    tokens: TokensRef
    training: LanguageModelTraining


def fit_target_model(
    settings: Model,
    tokens: TokensRef,
    training: TargetTraining,
    final: Path,
    *,
    start: Path | None,
    trainable: Trainable,
    labels: int | None,
    seed: int,
    report: Report,
    states: Path | None = None,
    word_map: WordMap = "exact",
    beside: BesideText | None = None,
    known_text: TokensRef | None = None,
) -> Fitted:
    """Train a model of the target task and score it on the test split.

    The validation split chooses the best of `training.learning_rates` and of all evaluations; the test split is
    scored once, after that.

    Args:
        settings: Widths, layers, dropout.
        tokens: The labelled documents.
        training: Epochs, batch, learning rates.
        final: Folder to write: a checkpoint, `history.json` and `predictions.parquet`.
        start: Folder of a model whose encoder to start from. None: from scratch.
        trainable: All weights, the head alone, or linear maps of the encoder's weights and the head.
        labels: Number of labelled training documents to use; if None, all.
        seed: Seed of the label subset, the initial weights, the order and dropout.
        report: Called while it trains.
        states: Folder of training states, where a training that was stopped is taken up again; if None, none are kept.
            `Fitted.forget` removes them.
        word_map: How words come to their rows that the start does not know.
        beside: Text that the encoder is trained on in between; if None, it is trained on the labels alone.
        known_text: What the start knows, over the target's vocabulary, for ways of fine-tuning that ask how much each
            weight matters to it.
    """
    began, task = time.perf_counter(), TARGETS[training.model]
    train, valid, test = (read_documents(tokens, split, labelled=True) for split in SPLITS)
    if labels is not None:
        train = train.take(label_subset(task.strata(train.labels), labels, seed))
    mapped, coverage = start_weights(start, tokens, word_map) if start is not None else ({}, {})

    @functools.cache  # all learning rates of a try start from the same
    def initial_weights(seed: int) -> Weights:
        fresh = get_weights(TargetModel(settings, training, tokens.vocabulary_size, len(tokens.labels), seed))
        # The head and the statistics before it belong to the source's labels: they start anew.
        return fresh | encoder_weights(mapped, settings)

    tuned = start is not None and trainable == "all"
    model = reusable_target_model(
        settings, type(training), training.model_dump_json(), tokens.vocabulary_size, len(tokens.labels)
    )
    precision: Precision = "float32"
    if trainable != "head":
        precision = choose_precision(
            training.precision, settings, tokens.vocabulary_size, training.batch_size, training.max_tokens
        )

    frozen: dict[str, np.ndarray | None] = {"valid": None, "test": None}
    not_here = 0.0
    if trainable == "head" and start is not None and max(len(valid), len(test)) * model.width <= MOST_STATES:
        set_weights(model, initial_weights(seed))
        encoder = file_sha256(start / "weights.safetensors"), word_map
        for split in frozen:
            here = time.perf_counter()
            frozen[split], seconds = _frozen_states(model, encoder, tokens, split)
            # Every cell is charged what it would cost alone.
            not_here += seconds - (time.perf_counter() - here)

    importance: Weights | None = None
    if tuned and known_text is not None and training.needs_fisher:
        known = read_documents(known_text, "train", mapped=True)
        knowing = _language_model(settings, known, mapped, seed)
        importance = fisher_information(knowing, known, seed=seed)
    text = read_documents(beside.tokens, "train", mapped=True) if beside else None

    def reading(seed: int) -> Beside | None:
        if beside is None or text is None:
            return None
        softmax = get_weights(_language_model(settings, text, mapped, seed))
        return Beside(model, softmax, text, beside.training, seed=seed)

    def folder(way: FineTuning, rate: float, seed_of_try: int) -> StateFolder | None:
        if states is None:
            return None
        of_text = beside and (beside.tokens.sha256, beside.training.model_dump(), _precision(settings, beside))
        content = [
            training.model,
            TARGET_VERSION,
            settings.model_dump(),
            training.model_dump(exclude={"learning_rates", "fine_tuning"}),
            [way.model_dump(), rate, seed_of_try, seed, precision, trainable, labels],
            tokens.sha256,
            _start_of(start, word_map),
            known_text.sha256 if known_text is not None and way.importance == "fisher" else None,
            of_text,
        ]
        return _state_folder(states, content)

    training_score = functools.partial(task.rank, select=training.select)
    folders: list[StateFolder] = []
    seconds_before = 0.0
    best: tuple[Weights, list[Point], dict[str, float]] | None = None
    # Every arm has as many tries, and the validation split chooses among them.
    tries = list(itertools.product(range(len(training.fine_tuning)), training.learning_rates))
    for n, (way, rate) in enumerate(tries):
        one_after_the_other = functools.partial(_report_part, report, n, len(tries))
        again = derived(seed, "try", way) if way and not tuned else seed
        first, fine_tuning = initial_weights(again), training.fine_tuning[way] if tuned else FineTuning()
        set_weights(model, first)
        kept = folder(fine_tuning, rate, again)
        folders += [kept] if kept is not None else []
        history, before = train_target_model(
            model,
            train,
            valid,
            rate,
            trainable=trainable,
            seed=again,
            fine_tuning=fine_tuning,
            importance=importance if fine_tuning.importance == "fisher" else None,
            frozen_valid=frozen["valid"],
            beside=reading(again),
            report=one_after_the_other,
            states=kept,
        )
        seconds_before += before
        on_valid = max((point.metrics for point in history), key=training_score)
        if fine_tuning.average:
            on_valid = average_with_start(model, first, train, valid, seed)
        if best is None or training_score(on_valid) > training_score(best[2]):
            best = get_weights(model), history, on_valid | {"learning_rate": rate, "fine_tuning": float(way)}
    assert best is not None  # there is at least one learning rate
    weights, history, on_valid = best
    set_weights(model, weights)
    of_valid, of_test = predict(model, valid, frozen["valid"]), predict(model, test, frozen["test"])
    metrics = target_metrics(task, (valid, of_valid), (test, of_test), on_valid) | coverage
    description = Description(
        kind=training.model,
        settings=settings,
        vocabulary_size=tokens.vocabulary_size,
        labels=tokens.labels,
        temperature=metrics.get("valid/temperature", 1.0),
        head=model.task_head.description(),
        **{training.model: training},
    )
    checkpoint = Checkpoint(description, weights)
    tables = (target_predictions(task, valid, of_valid), target_predictions(task, test, of_test))
    sha256 = write_cell(final, *tables, metrics, history, checkpoint, tokens.tokenizer)
    seconds = seconds_before + time.perf_counter() - began + not_here
    return Fitted(sha256, metrics, seconds, precision, tuple(folders))


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

    Encoders are told apart by their digest and by how their words were mapped. The seconds that it took are given too.
    """
    began = time.perf_counter()
    states = pooled_features(model, read_text(tokens, split).labelled())
    return states, time.perf_counter() - began


def _report_part(report: Report, part: int, parts: int, progress: Progress) -> None:
    """Report one of several trainings as a part of one, so that their curves do not overlap."""
    step = part * progress.steps + progress.step
    report(dataclasses.replace(progress, step=step, steps=parts * progress.steps))


def _state_folders(
    states: Path,
    settings: Model,
    tokens: TokensRef,
    training: LanguageModelTraining,
    start: Path | None,
    word_map: WordMap,
    seed: int,
) -> States:
    """Return what returns the folder of one training's states: its name comes from all that the result depends on."""
    content = [
        VERSION,
        settings.model_dump(),
        # What may be set when a training has diverged changes nothing before that.
        training.model_dump(exclude={"extend", "save_every", "halve_on_divergence"}),
        tokens.sha256,
        _start_of(start, word_map),
        seed,
    ]
    return lambda extend: _state_folder(states, [*content, extend])


def _start_of(start: Path | None, word_map: WordMap) -> list[str] | None:
    """Return what the weights of a start depend on."""
    if start is None:
        return None
    return [file_sha256(start / "weights.safetensors"), file_sha256(start / "tokenizer.json"), word_map]


def _precision(settings: Model, beside: BesideText) -> Precision:
    """Return the type of the products of the language model beside labels."""
    t = beside.training
    return choose_precision(t.precision, settings, beside.tokens.vocabulary_size, t.batch_size, t.window)


def _state_folder(states: Path, content: list[Any]) -> StateFolder:
    identity = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return StateFolder(states / identity[:32], identity)

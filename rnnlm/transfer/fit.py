"""One training from tokens on disk to a scored model on disk: what pretraining, fine-tuning and baselines share.

They differ in where the weights start and in what is trained, in nothing else.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from rnnlm.evaluation.language_model import score_documents
from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Checkpoint, Description, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.precision import Precision
from rnnlm.refs import TokensRef
from rnnlm.settings import LanguageModelTraining, Model, WordMap
from rnnlm.store import file_sha256
from rnnlm.training.language_model import VERSION, States, train_language_model
from rnnlm.training.progress import Report
from rnnlm.training.state import StateFolder
from rnnlm.transfer.cell import (
    Fitted,
    language_model_predictions,
    read_documents,
    write_cell,
)
from rnnlm.transfer.start import start_weights
from rnnlm.transfer.vocabulary import BY_GROUP


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
        start_of(start, word_map),
        seed,
    ]
    return lambda extend: state_folder(states, [*content, extend])


def start_of(start: Path | None, word_map: WordMap) -> list[str] | None:
    """Return what the weights of a start depend on; None if they are random."""
    if start is None:
        return None
    return [file_sha256(start / "weights.safetensors"), file_sha256(start / "tokenizer.json"), word_map]


def state_folder(states: Path, content: list[Any]) -> StateFolder:
    """Return the folder of a training's states, whose name comes from all that the result depends on."""
    identity = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return StateFolder(states / identity[:32], identity)

"""Training of a language model, from scratch or from wherever its weights stand."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from rnnlm.config import LanguageModelTraining
from rnnlm.errors import TrainingError
from rnnlm.evaluation.language_model import score_documents
from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.tokens import EncodedDocuments
from rnnlm.training.batches import Window, window_count, windows
from rnnlm.training.progress import Meter, Report, evaluation_steps, silent
from rnnlm.training.schedule import one_cycle
from rnnlm.training.update import adamw, check_finite, clipped_update


def train_language_model(
    model: LanguageModel,
    train: EncodedDocuments,
    valid: EncodedDocuments,
    settings: LanguageModelTraining,
    *,
    bos: int | None,
    eos: int,
    seed: int,
    report: Report = silent,
) -> list[Point]:
    """Train a language model; it ends with the weights that were best on the validation split.

    The state is carried from window to window and reset where a document begins and where an epoch begins.

    Args:
        model: The model; its weights are where the training starts.
        train: Training documents, read in a new order each epoch (running text without `bos` keeps its order).
        valid: Validation documents.
        settings: Epochs, batch, window, learning rate.
        bos: The token that begins a document; none: running text.
        eos: The token that ends a document.
        seed: Seed of the order and of dropout.
        report: Called every few seconds and at each evaluation.

    Returns:
        The learning curve, with `perplexity`, `nll` and `bits_per_character` of the validation split.

    Raises:
        TrainingError: If there is too little text for one window, or the loss is no longer a number.
    """
    per_epoch = window_count(len(train.ids), settings.batch_size, settings.window)
    if per_epoch < 1:
        raise TrainingError(
            f"{len(train.ids)} training tokens are too few for {settings.batch_size} rows",
            remedy="Make language_model.batch_size smaller or give more text.",
        )
    steps = max(1, round(settings.epochs * per_epoch))
    evaluate_at = evaluation_steps(steps, settings.evaluations)
    train_step = _train_step(model, settings)
    zero = model.encoder.zero_states(settings.batch_size)
    states = zero
    points: list[Point] = []
    best, best_nll = get_weights(model), math.inf
    meter, since, read = Meter("tokens"), [], 0
    for step, (window, first) in enumerate(_all_windows(train, settings, bos, seed, steps)):
        if first:
            states = zero
        rate = one_cycle(step, steps, settings.learning_rate)
        loss, norm, states = train_step(
            window.tokens, window.targets, window.weights, window.keep, states, np.array([seed, step], np.int32), rate
        )
        loss, norm, count = float(loss), float(norm), int(window.weights.sum())
        place = f"(window {step % per_epoch + 1} of epoch {step // per_epoch + 1})"
        check_finite(loss, norm, f"step {step + 1} of {steps} {place}", "learning_rate")
        read += count
        meter.add(count, loss, norm)
        since.append(loss)
        if step + 1 in evaluate_at:
            metrics = score_documents(model, valid, bos=bos, eos=eos).metrics
            points.append(Point(step=step + 1, tokens=read, train_loss=float(np.mean(since)), metrics=metrics))
            report(meter.progress(step + 1, steps, rate, metrics))
            since = []
            if metrics["nll"] < best_nll:
                best, best_nll = get_weights(model), metrics["nll"]
        elif meter.due:
            report(meter.progress(step + 1, steps, rate, {}))
    set_weights(model, best)
    return points


def _all_windows(
    train: EncodedDocuments, settings: LanguageModelTraining, bos: int | None, seed: int, steps: int
) -> Iterator[tuple[Window, bool]]:
    """Give the windows of all steps, and whether each is the first of an epoch."""
    taken = 0
    for epoch in range(math.ceil(settings.epochs) + 1):
        documents = train
        if bos is not None:
            documents = train.take(np.random.default_rng([seed, epoch]).permutation(len(train)))
        for n, window in enumerate(windows(documents.ids, settings.batch_size, settings.window, bos)):
            if taken == steps:
                return
            yield window, n == 0
            taken += 1


def _train_step(model: LanguageModel, settings: LanguageModelTraining) -> Callable[..., Any]:
    """Compile one step: loss, gradient, clipping, update."""
    variables = model.trainable_variables
    optimizer = adamw(variables, settings.weight_decay)

    @tf.function(autograph=False)
    def train_step(tokens, targets, weights, keep, states, seed, learning_rate):  # type: ignore[no-untyped-def]
        with tf.GradientTape() as tape:
            total, states = model.loss_sum(tokens, targets, weights, states, keep, seed)
            loss = total / tf.maximum(tf.reduce_sum(weights), 1.0)
        norm = clipped_update(optimizer, variables, tape, loss, settings.clip_norm, learning_rate)
        return loss, norm, states

    def call(tokens, targets, weights, keep, states, seed, learning_rate):  # type: ignore[no-untyped-def]
        # As tensors: a Python number or a NumPy array would be traced anew.
        arrays = [tf.constant(a) for a in (tokens, targets, weights, keep)]
        return train_step(*arrays, states, tf.constant(seed), tf.constant(learning_rate, tf.float32))

    return call

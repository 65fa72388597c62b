"""The learning-rate finder of a language model."""

import logging
import math
from collections.abc import Callable

import numpy as np

from rnnlm.model.checkpoint import get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import LanguageModelTraining
from rnnlm.tokens import Text
from rnnlm.training.batches import row_length
from rnnlm.training.plan import Plan
from rnnlm.training.precision import choose_precision
from rnnlm.training.prefetch import Prefetch
from rnnlm.training.range_test import Curve, range_test
from rnnlm.training.step import LanguageModelStep

logger = logging.getLogger("rnnlm.training")

# 25 for each power of ten. fastai makes 100 in all; twice as many halve the lag of the smoothed loss.
UPDATES = 200
LOGGED_EVERY = 20
# AdamW: fastai's range. Plain SGD needs rates a hundred times as high: the AWD-LSTM is trained with 30.
RANGES = {"adamw": (1e-7, 10.0), "sgd": (1e-5, 1e3)}


def find_learning_rate(
    model: LanguageModel,
    train: Text,
    settings: LanguageModelTraining,
    *,
    seed: int,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Curve:
    """Run the learning-rate range test of Smith (2017) on a language model; its weights come back as they were.

    Batch, window, optimizer and regularisers are those of the training. The rate grows geometrically, 200 updates
    from 1e-7 to 10 (SGD: from 1e-5 to 1,000), whatever `settings.learning_rate` is. Short text is read several times.

    Args:
        model: The model, where the training would start.
        train: Training documents.
        settings: The recipe.
        seed: Seed of the order and of dropout.
        report: Called with the number of updates that are done, and with the number of all.

    Returns:
        The training loss of each update, in nats a token, without penalties.

    Raises:
        TrainingError: If there is too little text for one window, or the loss is no number from the beginning.
    """
    plan = Plan.of(train.n_tokens, _long_enough(settings, train.n_tokens), seed)
    precision = choose_precision(
        settings.precision, model.settings, model.vocabulary_size, settings.batch_size, settings.window
    )
    before = get_weights(model)
    try:
        # Its optimizer and its carried state are thrown away with it.
        updates = LanguageModelStep(model, plan.settings, precision, resets=not train.is_running)
        with Prefetch(plan.read(plan.phases[0], train, 0)) as prepared:
            steps = iter(prepared)

            def update(n: int, rate: float) -> float:
                step = next(steps)
                result = updates.run(step.windows, step.first, seed, n, rate, 0.0)
                report(n + 1, UPDATES)
                if (n + 1) % LOGGED_EVERY == 0:
                    logger.info("update %d of %d: learning rate %.2e, loss %.4f", n + 1, UPDATES, rate, result.loss)
                # An update whose gradient is no number changes nothing: the loss would stay where it is for good.
                return result.loss if math.isfinite(result.norm) else math.nan

            return range_test(update, np.geomspace(*RANGES[settings.optimizer], UPDATES))
    finally:
        set_weights(model, before)


def _long_enough(settings: LanguageModelTraining, tokens: int) -> LanguageModelTraining:
    """Return the recipe with as many epochs as the updates need, and without what a range test has no use for."""
    row = row_length(tokens, settings.batch_size)
    # No window is twice as long as `window`, however the lengths vary.
    windows = max(1, -(-row // (2 * settings.window)))
    epochs = -(-UPDATES * settings.accumulate // windows)
    return settings.model_copy(update={"epochs": float(epochs), "extend": [], "averaging": "none"})

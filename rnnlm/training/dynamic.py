"""Dynamic evaluation: a language model goes on learning from the text that it is scored on (Krause et al. 2018)."""

from typing import Any

import numpy as np
import tensorflow as tf

from rnnlm.model.checkpoint import get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.tokens import Text

WINDOW = 32  # tokens between two updates
CLIP_NORM = 1.0  # so that no strange document undoes what the model knows


def score_while_learning(model: LanguageModel, text: Text, rate: float) -> np.ndarray:
    """Score each token, and only then learn from it by a step of gradient descent; the next tokens profit.

    Documents are read in their order, each from a zero state, and what was learnt from one is kept for the next. In the
    end the model has the weights that it came with.

    Args:
        model: The language model.
        text: At least one document; through running text the state is carried.
        rate: The learning rate, of the mean loss of a window.

    Returns:
        (tokens,) negative log-likelihood in nats, in their order; 0 for `<bos>`, which is given.
    """
    before = get_weights(model)
    targets = text.read().astype(np.int32)
    inputs = np.concatenate(([text.vocabulary.eos], targets[:-1])).astype(np.int32)
    step = _step(model)
    losses = np.zeros(len(targets))
    # Where the state is zero: at the beginning of each document, or once.
    starts = [0] if text.is_running else (text.starts + 1).tolist()
    ends = [len(targets)] if text.is_running else text.ends.tolist()
    try:
        for first, last in zip(starts, ends, strict=True):
            states: Any = model.encoder.zero_states(1)
            for start in range(first, last, WINDOW):
                end = min(start + WINDOW, last)
                # One length for all: the rest of the last window does not count.
                fill = (0, WINDOW - (end - start))
                tokens, wanted, counted = (
                    np.pad(part, fill)[:, None]
                    for part in (inputs[start:end], targets[start:end], np.ones(end - start))
                )
                nll, states = step(tokens, wanted, counted.astype(np.float32), states, np.float32(rate))
                losses[start:end] = nll.numpy()[: end - start, 0]
    finally:
        set_weights(model, before)
    return losses


def _step(model: LanguageModel) -> Any:
    variables = model.trainable_variables
    column = tf.TensorSpec((WINDOW, 1), tf.int32)

    @tf.function(
        input_signature=[
            column,
            column,
            tf.TensorSpec((WINDOW, 1), tf.float32),
            [tuple(tf.TensorSpec((1, width)) for width in layer.state_widths) for layer in model.encoder.cells],
            tf.TensorSpec((), tf.float32),
        ],
        autograph=False,
    )
    def step(tokens: Any, targets: Any, weights: Any, states: Any, rate: Any) -> Any:
        nll, _ = model.nll(tokens, targets, weights > 0.0, states)
        with tf.GradientTape() as tape:
            losses = model.losses(tokens, targets, weights, states, None, None)
            loss = losses.nll_sum / tf.reduce_sum(weights)
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        gradients, _ = tf.clip_by_global_norm([tf.convert_to_tensor(g) for g in gradients], CLIP_NORM)
        with tf.control_dependencies([nll]):
            for variable, gradient in zip(variables, gradients, strict=True):
                variable.value.assign_sub(rate * gradient)
        return nll, losses.states

    return step

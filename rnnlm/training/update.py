"""The update of a training step: what a language model and a classifier share."""

import math
from typing import Any

import keras
import tensorflow as tf

from rnnlm.errors import TrainingError

# Decay of Adam's second moment. 0.99 forgets in 100 steps: short trainings have few, Howard & Ruder 2018 use it too.
BETA_2 = 0.99


def adamw(variables: list[keras.Variable], weight_decay: float) -> keras.optimizers.Optimizer:
    """Give AdamW (Loshchilov & Hutter 2019) with its slots made; the learning rate comes with each update."""
    optimizer = keras.optimizers.AdamW(learning_rate=0.0, beta_2=BETA_2, weight_decay=weight_decay)
    optimizer.build(variables)
    return optimizer


def clipped_update(
    optimizer: keras.optimizers.Optimizer,
    variables: list[keras.Variable],
    tape: tf.GradientTape,
    loss: tf.Tensor,
    clip_norm: float,
    learning_rate: tf.Tensor,
) -> Any:
    """Update the variables; give the global norm of the gradient before it was clipped to `clip_norm`."""
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    gradients, norm = tf.clip_by_global_norm([tf.convert_to_tensor(g) for g in gradients], clip_norm)
    optimizer.learning_rate.assign(learning_rate)
    optimizer.apply(gradients, variables)
    return norm


def check_finite(loss: float, norm: float, where: str, field: str) -> None:
    """Stop a training that went astray.

    Args:
        loss: The step's loss.
        norm: The global norm of its gradient.
        where: Which step it was.
        field: The setting of the learning rate.

    Raises:
        TrainingError: If the loss or the norm is no longer a number.
    """
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise TrainingError(
            f"the loss or its gradient is no longer a number at {where}",
            remedy=f"Make {field} or clip_norm smaller.",
        )

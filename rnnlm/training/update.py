"""The update of a training step: what all models share."""

import math
from typing import Any, Literal

import keras
import tensorflow as tf

from rnnlm.errors import TrainingError

# Decay of Adam's second moment. 0.99 forgets in 100 steps: short trainings have few, Howard & Ruder 2018 use it too.
BETA_2 = 0.99


class FusedAdamW(keras.optimizers.AdamW):
    """Keras' AdamW with the operation that TensorFlow has for it: one pass over weights and slots in place of ten."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update one variable; its weight decay is done before."""
        n = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[n].value.handle,
            v=self._velocities[n].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def make_optimizer(
    name: Literal["adamw", "sgd"], variables: list[keras.Variable], weight_decay: float
) -> keras.optimizers.Optimizer:
    """Return an optimizer with decoupled weight decay (Loshchilov & Hutter 2019) and its slots made.

    The learning rate comes with each update.
    """
    if name == "adamw":
        optimizer = FusedAdamW(learning_rate=0.0, beta_2=BETA_2, weight_decay=weight_decay)
    else:
        optimizer = keras.optimizers.SGD(learning_rate=0.0, weight_decay=weight_decay)
    optimizer.build(variables)
    return optimizer


def clipped_update(
    optimizer: keras.optimizers.Optimizer,
    variables: list[keras.Variable],
    gradients: list[tf.Tensor],
    clip_norm: float,
    learning_rate: tf.Tensor,
) -> Any:
    """Update the variables, and return the global norm of the gradient before it was clipped to `clip_norm`.

    A gradient that is not a number changes nothing: the weights are then still those of the step before.
    """
    gradients, norm = tf.clip_by_global_norm([tf.convert_to_tensor(g) for g in gradients], clip_norm)

    def update() -> tf.Tensor:
        optimizer.learning_rate.assign(learning_rate)
        optimizer.apply(gradients, variables)
        return norm

    return tf.cond(tf.math.is_finite(norm), update, lambda: norm)


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

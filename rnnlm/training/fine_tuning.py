"""What sets fine-tuning apart from training: rates by depth, layers thawed in turn, weights held near the source.

Nothing is traced anew when a layer thaws: every layer has a rate at every step, and that of a frozen one is zero. Its
gradient is zero then, too, so that neither the norm that is clipped nor Adam's averages know of it.
"""

import functools
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from rnnlm.settings import FineTuning
from rnnlm.training.update import BETA_2, FusedAdamW

# The share of the steps in which some layers are frozen; in the rest all are trained.
THAWING = 0.5


def layer_rates(ways: FineTuning, layers: int, step: int, steps: int) -> np.ndarray:
    """Return what the learning rate of each layer is multiplied by at a step.

    Args:
        ways: The factor between layers, and the order in which they thaw.
        layers: Their number, the head among them.
        step: Steps taken before this one.
        steps: Steps in all.

    Returns:
        (layers,) from the embedding, at the bottom, to the head; 0: the layer is frozen.
    """
    # Howard & Ruder 2018: the head has the whole rate, each layer below it that of the one above over the factor.
    rates = ways.layer_factor ** np.arange(1.0 - layers, 1.0)
    phases = _phases(ways.unfreezing, layers)
    phase = int(step / (THAWING * steps) * len(phases))
    return np.asarray(rates * phases[phase] if phase < len(phases) else rates, np.float32)


def _phases(unfreezing: str, layers: int) -> np.ndarray:
    """Return which layers are trained in each phase before all are: (phases, layers), 1 or 0."""
    alone = np.eye(layers)
    head = alone[-1:]
    return {
        "none": head[:0],
        "head_first": head,
        # One layer more in each phase, from the top: 0 0 1, 0 1 1.
        "gradual": np.triu(np.ones((layers, layers)))[:0:-1],
        "chain_thaw": np.concatenate([head, alone[:-1]]),
    }[unfreezing]


@dataclass
class Anchors:
    """What an optimizer knows of its variables one by one; of its own attributes Keras would make slots to reset.

    Attributes:
        rates: What the learning rate of each variable is multiplied by.
        starts: What each variable is drawn to; if None, to zero.
        importance: How much the weights of each variable are held there; 1: as all are.
        stay_near: Strength of the decay towards the start, as a share of the learning rate; 0: there is none, and all
            variables decay towards zero.
    """

    rates: list[tf.Tensor]
    starts: list[tf.Variable | None]
    importance: list[tf.Variable | None]
    stay_near: tf.Tensor


class LayeredAdamW(FusedAdamW):
    """AdamW with a rate for each variable, and a decay that may draw it towards the weights it started from.

    That is L2-SP (Li et al. 2018), decoupled as AdamW's decay is: it replaces the decay towards zero.
    With an importance of each weight it is elastic weight consolidation (Kirkpatrick et al. 2017).

    Args:
        variables: What is trained.
        anchored: Those of them that may be drawn to where they start.
        weight_decay: Decay towards zero, as a share of the learning rate.
    """

    def __init__(self, variables: list[keras.Variable], anchored: list[keras.Variable], weight_decay: float) -> None:
        super().__init__(learning_rate=0.0, beta_2=BETA_2, weight_decay=weight_decay)
        self.build(variables)
        near = {id(variable) for variable in anchored}
        starts = [tf.Variable(v.value, trainable=False) if id(v) in near else None for v in variables]
        importance = [None if s is None else tf.Variable(tf.ones_like(s), trainable=False) for s in starts]
        self.anchors = Anchors([tf.ones(()) for _ in variables], starts, importance, tf.zeros(()))

    def start_from(self, variables: list[keras.Variable], importance: list[np.ndarray | None]) -> None:
        """Take the weights as they are for the start.

        Args:
            variables: What is trained.
            importance: How much the weights of each are held there; if None, all alike.
        """
        held = zip(variables, importance, self.anchors.starts, self.anchors.importance, strict=True)
        for variable, given, start, kept in held:
            if start is not None and kept is not None:
                start.assign(variable.value)
                kept.assign(tf.ones_like(kept) if given is None else given)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update one variable at its own rate."""
        n = self._get_variable_index(variable)
        super().update_step(gradient, variable, learning_rate * self.anchors.rates[n])

    def _apply_weight_decay(self, variables: list[keras.Variable]) -> None:
        rate = tf.convert_to_tensor(self.learning_rate)
        to_zero, stay_near = tf.constant(float(self.weight_decay)), self.anchors.stay_near
        held = zip(variables, self.anchors.starts, self.anchors.importance, self.anchors.rates, strict=True)
        for variable, start, importance, own in held:
            value = tf.convert_to_tensor(variable.value)
            if start is None or importance is None:
                decay = value * to_zero * (rate * own)
            else:
                decay = tf.cond(
                    stay_near > 0.0,
                    functools.partial(_decay_to, value, start, importance, stay_near * (rate * own)),
                    functools.partial(tf.multiply, value * to_zero, rate * own),
                )
            variable.value.assign_sub(decay)


def _decay_to(value: tf.Tensor, start: tf.Variable, importance: tf.Variable, strength: tf.Tensor) -> tf.Tensor:
    # A weight that matters a thousand times as much as the mean is put back where it was, not beyond it.
    return (value - start) * tf.minimum(importance * strength, 1.0)

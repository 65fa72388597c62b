"""One compiled update of a language model: windows in, loss and gradient norm out."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rnnlm.model.checkpoint import get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.precision import Precision
from rnnlm.seeds import masks
from rnnlm.settings import LanguageModelTraining
from rnnlm.training.batches import Window
from rnnlm.training.update import clipped_update, make_optimizer


class StepResult(NamedTuple):
    """What an update tells.

    Attributes:
        loss: Mean negative log-likelihood of the targets, in nats, without penalties.
        norm: Global norm of the gradient before clipping.
        tokens: Targets that counted.
    """

    loss: float
    norm: float
    tokens: int


class LanguageModelStep:
    """The update of a model, with what it carries on: optimizer slots, averaged weights, the LSTM's state.

    Args:
        model: The model.
        settings: Optimizer, penalties, clipping, averaging.
        precision: Type of the large products.
        resets: Whether windows hold beginnings of documents, where the state is reset; running text does not.
    """

    def __init__(
        self, model: LanguageModel, settings: LanguageModelTraining, precision: Precision, resets: bool = True
    ) -> None:
        self.model = model
        self.settings = settings
        self.variables = model.trainable_variables
        self.optimizer = make_optimizer(settings.optimizer, self.variables, settings.weight_decay)
        self.averaged = [tf.Variable(v.value) for v in self.variables] if settings.averaging != "none" else []
        self.zero = model.encoder.zero_states(settings.batch_size)
        self.states = self.zero
        self._gradients = [tf.Variable(tf.zeros_like(v.value)) for v in self.variables if settings.accumulate > 1]
        self._single = tf.function(self._update, autograph=False)
        self._add = tf.function(self._accumulate, autograph=False)
        self._apply = tf.function(self._apply_accumulated, autograph=False)
        self._precision: Precision = precision
        self._resets = resets

    def run(
        self, windows: list[Window], first: list[bool], seed: int, step: int, learning_rate: float, average: float
    ) -> StepResult:
        """Make one update; a gradient that is not a number leaves everything but the carried state as it was.

        Args:
            windows: Windows whose gradients are averaged.
            first: Whether each begins an epoch: the state is then zero.
            seed: Seed of the training.
            step: Updates made before; with the seed it chooses the dropout masks.
            learning_rate: For a window of the usual length; it is scaled by the length (Merity et al. 2018).
            average: Share by which the averaged weights move to the new ones.
        """
        length = float(np.mean([len(window.tokens) for window in windows]))
        rate = tf.constant(learning_rate * length / self.settings.window, tf.float32)
        average_ = tf.constant(average, tf.float32)
        share = tf.constant(1.0 / len(windows), tf.float32)
        nll, tokens = 0.0, 0
        for n, (window, begins) in enumerate(zip(windows, first, strict=True)):
            if begins:
                self.states = self.zero
            # As tensors: a Python number or a NumPy array would be traced anew.
            arrays = [tf.constant(a) for a in (window.tokens, window.targets, window.weights, window.keep)]
            chosen = tf.constant(masks(seed, step * self.settings.accumulate + n), tf.int32)
            if self._gradients:
                nll_sum, self.states = self._add(*arrays, self.states, chosen, share)
            else:
                nll_sum, norm, self.states = self._single(*arrays, self.states, chosen, rate, average_)
            nll += float(nll_sum)
            tokens += int(window.weights.sum())
        if self._gradients:
            norm = self._apply(rate, average_)
        return StepResult(nll / max(1, tokens), float(norm), tokens)

    def _gradient(
        self, tokens: Any, targets: Any, weights: Any, keep: Any, states: Any, masks: Any
    ) -> tuple[Any, Any, Any]:
        with tf.GradientTape() as tape:
            losses = self.model.losses(
                tokens, targets, weights, states, keep if self._resets else None, masks, self._precision
            )
            loss = losses.nll_sum / tf.maximum(tf.reduce_sum(weights), 1.0)
            if self.settings.activation_penalty:
                loss += self.settings.activation_penalty * losses.activation
            if self.settings.temporal_penalty:
                loss += self.settings.temporal_penalty * losses.temporal
        return losses.nll_sum, tape.gradient(loss, [v.value for v in self.variables]), losses.states

    def _update(
        self, tokens: Any, targets: Any, weights: Any, keep: Any, states: Any, masks: Any, rate: Any, average: Any
    ) -> Any:
        nll_sum, gradients, states = self._gradient(tokens, targets, weights, keep, states, masks)
        return nll_sum, self._change(gradients, rate, average), states

    def _accumulate(
        self, tokens: Any, targets: Any, weights: Any, keep: Any, states: Any, masks: Any, share: Any
    ) -> Any:
        nll_sum, gradients, states = self._gradient(tokens, targets, weights, keep, states, masks)
        for gathered, gradient in zip(self._gradients, gradients, strict=True):
            gathered.assign_add(share * tf.convert_to_tensor(gradient))
        return nll_sum, states

    def _apply_accumulated(self, rate: Any, average: Any) -> Any:
        norm = self._change([tf.convert_to_tensor(g) for g in self._gradients], rate, average)
        for gathered in self._gradients:
            gathered.assign(tf.zeros_like(gathered))
        return norm

    def _change(self, gradients: Any, rate: Any, average: Any) -> Any:
        norm = clipped_update(self.optimizer, self.variables, gradients, self.settings.clip_norm, rate)
        # Where the gradient is no number the weights stay, and so must their average.
        average = tf.where(tf.math.is_finite(norm), average, 0.0)
        with tf.control_dependencies([norm]):
            for averaged, variable in zip(self.averaged, self.variables, strict=False):
                averaged.assign_add(average * (variable.value - averaged))
        return norm

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Put the averaged weights into the model for a while; the raw ones come back."""
        raw = [tf.identity(v.value) for v in self.variables]
        _assign(self.variables, self.averaged)
        try:
            yield
        finally:
            _assign(self.variables, raw)

    def restart(self) -> None:
        """Forget what the optimizer has gathered, the average and the carried state; the weights stay."""
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        if self.averaged:
            _assign(self.averaged, [v.value for v in self.variables])
        self.states = self.zero

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that the next update depends on, by name."""
        arrays = {f"weights/{name}": array for name, array in get_weights(self.model).items()}
        arrays |= {f"optimizer/{n}": np.array(v) for n, v in enumerate(self.optimizer.variables)}
        arrays |= {f"averaged/{n}": v.numpy() for n, v in enumerate(self.averaged)}
        arrays |= {f"carried/{n}": part.numpy() for n, part in enumerate(tf.nest.flatten(self.states))}
        return arrays

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take up what `arrays` gave."""
        set_weights(self.model, {n.removeprefix("weights/"): a for n, a in arrays.items() if n.startswith("weights/")})
        _assign(self.optimizer.variables, [arrays[f"optimizer/{n}"] for n in range(len(self.optimizer.variables))])
        _assign(self.averaged, [arrays[f"averaged/{n}"] for n in range(len(self.averaged))])
        carried = [tf.constant(arrays[f"carried/{n}"]) for n in range(len(tf.nest.flatten(self.zero)))]
        self.states = tf.nest.pack_sequence_as(self.zero, carried)


def _assign(variables: Any, values: Any) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)

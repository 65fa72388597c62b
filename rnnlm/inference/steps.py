"""One step of a language model after another: from tokens and states to the probabilities of the next token."""

from collections.abc import Sequence
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from rnnlm import kernel as native
from rnnlm.kernel import arrays
from rnnlm.model.checkpoint import get_weights
from rnnlm.model.language_model import LanguageModel

States = list[tuple[np.ndarray, ...]]  # of each layer, in its parts: (texts, width) each

# Bytes of a model's weights in float32 from which those of its products are kept in int8. Each step reads all
# of them. Smaller ones stay in the caches of a processor; larger ones come from memory, and a quarter comes sooner.
LARGE = 32_000_000
KERNELS = {"lstm": arrays.lstm, "gru": arrays.gru}


class Steps(Protocol):
    """A model that reads the next tokens of some texts."""

    def __call__(self, tokens: np.ndarray, of: np.ndarray, states: States) -> tuple[np.ndarray, States]:
        """Read tokens.

        Args:
            tokens: (time, texts) ids.
            of: (texts,) which of the texts before each of them continues.
            states: The states of the texts before.

        Returns:
            The log-probability of every token after the last step, (texts, vocabulary) in nats, and the states there.
        """


def steps_of(model: LanguageModel) -> Steps:
    """Return what reads with a model: the kernels alone where they can do all of it, otherwise TensorFlow."""
    can_do_all = native.is_usable() and model.settings.cell in KERNELS and not model.is_adaptive
    return NativeSteps(model) if can_do_all else CompiledSteps(model)


class NativeSteps:
    """The kernels, without a graph around them, which takes longer than the products of a small model.

    Args:
        model: A language model with an LSTM or a GRU, and an exact softmax.
    """

    def __init__(self, model: LanguageModel) -> None:
        large = sum(weights.nbytes for weights in get_weights(model).values()) > LARGE

        def kept(variable: keras.Variable, axis: int) -> arrays.Matrix:
            return arrays.Quantized.of(np.array(variable), axis) if large else np.array(variable)

        self._kernel = KERNELS[model.settings.cell]
        self._embeddings, self._bias = kept(model.encoder.embedding.embeddings, 1), np.array(model.bias)
        self._layers = [
            (kept(layer.kernel, 0), kept(layer.recurrent_kernel, 0), np.array(layer.bias))
            for layer in model.encoder.cells
        ]

    def __call__(self, tokens: np.ndarray, of: np.ndarray, states: States) -> tuple[np.ndarray, States]:
        """Read tokens: see `Steps`."""
        if tokens.min() < 0:  # NumPy would take it from the end
            raise IndexError(f"there is no token {tokens.min()}")
        hidden, after = arrays.rows(self._embeddings, tokens), []
        for weights, state in zip(self._layers, states, strict=True):
            hidden, *rest = self._kernel(hidden, weights, tuple(part[of] for part in state))
            after.append((hidden[-1], *rest))
        logits = arrays.logits(hidden[-1], self._embeddings, self._bias)
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logits, after


class CompiledSteps:
    """TensorFlow's operations, in one graph for any number of texts and tokens.

    Args:
        model: Any language model.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        # The weights are constants of the graph. So TensorFlow prepares them (puts gates side by side) once and not at
        # each step.
        recurrent = [variable for layer in model.encoder.cells for variable in layer.variables]
        self._constants = [(variable, keras.ops.convert_to_numpy(variable)) for variable in recurrent]
        self._compiled = tf.function(
            self._step,
            input_signature=[
                tf.TensorSpec((None, None), tf.int32),
                tf.TensorSpec((None,), tf.int32),
                [tuple(tf.TensorSpec((None, width)) for width in layer.state_widths) for layer in model.encoder.cells],
            ],
            autograph=False,
        )

    def __call__(self, tokens: np.ndarray, of: np.ndarray, states: States) -> tuple[np.ndarray, States]:
        """Read tokens: see `Steps`."""
        log_probabilities, after = self._compiled(tokens, of.astype(np.int32), states)
        return log_probabilities.numpy(), tf.nest.map_structure(lambda part: part.numpy(), after)

    def _step(
        self, tokens: tf.Tensor, of: tf.Tensor, states: Sequence[tuple[tf.Tensor, ...]]
    ) -> tuple[tf.Tensor, list[tuple[tf.Tensor, ...]]]:
        chosen = [tuple(tf.gather(part, of) for part in state) for state in states]
        constants = [(variable, tf.constant(weights)) for variable, weights in self._constants]
        with keras.StatelessScope(constants):
            hidden, after = self._model.encoder(tokens, chosen, training=False)
        return self._model.log_probabilities(hidden[-1]), after

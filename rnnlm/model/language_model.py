"""The LSTM language model: encoder, and a softmax tied to the embedding with a bias of its own, exact or adaptive."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rnnlm.model.adaptive import (
    AdaptiveWeights,
    adaptive_cross_entropy,
    adaptive_log_probabilities,
    adaptive_nll,
    group_starts,
)
from rnnlm.model.encoder import Encoder
from rnnlm.model.lstm import State
from rnnlm.model.precision import Precision, float32
from rnnlm.model.softmax import tied_cross_entropy, tied_nll
from rnnlm.settings import Model


class Losses(NamedTuple):
    """What a window costs in training.

    Attributes:
        nll_sum: Weighted sum of negative log-likelihoods, in nats.
        activation: Mean square of the dropped outputs (AR).
        temporal: Mean square of the outputs' change from step to step (TAR).
        states: State of each layer after the window.
    """

    nll_sum: tf.Tensor
    activation: tf.Tensor
    temporal: tf.Tensor
    states: list[State]


class LanguageModel(keras.layers.Layer):
    """Probability of the next token.

    Args:
        settings: Widths, number of layers, softmax and dropout. An adaptive softmax of a vocabulary that is too small
            for groups of rare tokens is the exact one.
        vocabulary_size: Number of tokens.
        seed: Seed of the initial weights.
        counts: How often each token occurs in the training split; the softmax bias starts at its log-frequency,
            so that the first step already knows the unigram distribution. None: zeros (weights are loaded later).
        encoder: The encoder to share with another model; if None, it has one of its own.
    """

    def __init__(
        self,
        settings: Model,
        vocabulary_size: int,
        seed: int = 0,
        counts: np.ndarray | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        super().__init__(name="language_model")
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        self.encoder = encoder or Encoder(settings, vocabulary_size, seed)
        self.bias = self.add_weight(shape=(vocabulary_size,), initializer="zeros", name="softmax_bias")
        if counts is not None:
            # One is added to each count: a token that the training split lacks is rare, not impossible.
            shares = (counts + 1.0) / (counts + 1.0).sum()
            self.bias.assign(np.log(shares).astype("float32"))
        starts = group_starts(vocabulary_size) if settings.softmax == "adaptive" else ()
        self.is_adaptive = bool(starts)
        if self.is_adaptive:
            self.tombstones = self.add_weight(
                shape=(len(starts), settings.embedding), initializer="zeros", name="softmax_tombstones"
            )
            self.tombstone_bias = self.add_weight(
                shape=(len(starts),), initializer="zeros", name="softmax_tombstone_bias"
            )
            if counts is not None:
                self.tombstone_bias.assign(np.log(np.add.reduceat(shares, starts)).astype("float32"))
        self.built = True
        free = tf.TensorSpec((None, None), tf.int32)
        self.compiled_nll = tf.function(
            self.nll,
            input_signature=[
                free,
                free,
                tf.TensorSpec((None, None), tf.bool),
                [tuple(tf.TensorSpec((None, width)) for width in layer.state_widths) for layer in self.encoder.cells],
            ],
            autograph=False,
        )

    def call(self, tokens: tf.Tensor, states: list[State] | None = None, keep: tf.Tensor | None = None) -> Any:
        """Return the logits of the next token: (time, batch) ids to (time, batch, vocabulary), and the states.

        Those of an adaptive softmax are normalised: they are log-probabilities.
        """
        hidden, states = self.encoder(tokens, states, keep)
        if self.is_adaptive:
            return adaptive_log_probabilities(hidden, self._adaptive()), states
        embeddings = tf.convert_to_tensor(self.encoder.embedding.embeddings)
        return tf.einsum("tbw,vw->tbv", hidden, embeddings) + self.bias, states

    def log_probabilities(self, hidden: tf.Tensor) -> tf.Tensor:
        """Return the log-probability of every token after encoder outputs: (rows, width) to (rows, vocabulary)."""
        if self.is_adaptive:
            return adaptive_log_probabilities(hidden, self._adaptive())
        embeddings = tf.convert_to_tensor(self.encoder.embedding.embeddings)
        return tf.nn.log_softmax(tf.matmul(hidden, embeddings, transpose_b=True) + self.bias)

    def losses(
        self,
        tokens: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        states: list[State],
        keep: tf.Tensor | None,
        seed: tf.Tensor | None,
        precision: Precision = "float32",
    ) -> "Losses":
        """Run over a window in training.

        Args:
            tokens: (time, batch) token ids; the shape is known when the function is traced.
            targets: (time, batch) the token after each.
            weights: (time, batch) 1 where the target counts, 0 where not.
            states: State of each layer before the window.
            keep: (time, batch, 1), 0 where the state is reset before a step; if None, never.
            seed: Two integers that choose the dropout masks; if None, nothing is dropped.
            precision: Type of the products.
        """
        outputs, states = self.encoder(tokens, states, keep, seed, precision=precision)
        dropped = self.encoder.drop_outputs(outputs, seed)
        rows = tf.reshape(dropped, (-1, self.settings.embedding))
        of_rows = tf.reshape(targets, (-1,)), tf.reshape(weights, (-1,)), precision
        if self.is_adaptive:
            nll_sum = adaptive_cross_entropy(rows, self._adaptive(), *of_rows)
        else:
            embeddings = tf.convert_to_tensor(self.encoder.embedding.embeddings)
            nll_sum = tied_cross_entropy(rows, embeddings, tf.convert_to_tensor(self.bias), *of_rows)
        return Losses(nll_sum, *penalties(outputs, dropped, weights, keep), states)

    def nll(
        self,
        tokens: tf.Tensor,
        targets: tf.Tensor,
        counted: tf.Tensor,
        states: list[State],
    ) -> Any:
        """Return the negative log-likelihood of each target, in nats, and the states after the window.

        Args:
            tokens: (time, batch) token ids, any shape.
            targets: (time, batch) the token after each.
            counted: (time, batch) whether the target counts; where not, 0 is given and nothing is computed.
            states: State of each layer before the window.
        """
        hidden, states = self.encoder(tokens, states, training=False)
        where = tf.where(counted)
        rows, of_rows = tf.gather_nd(hidden, where), tf.gather_nd(targets, where)
        if self.is_adaptive:
            nll = adaptive_nll(rows, self._adaptive(), of_rows)
        else:
            embeddings = tf.convert_to_tensor(self.encoder.embedding.embeddings)
            nll = tied_nll(rows, embeddings, tf.convert_to_tensor(self.bias), of_rows)
        return tf.scatter_nd(where, nll, tf.shape(tokens, out_type=tf.int64)), states

    def _adaptive(self) -> AdaptiveWeights:
        weights = (self.encoder.embedding.embeddings, self.bias, self.tombstones, self.tombstone_bias)
        return AdaptiveWeights(*(tf.convert_to_tensor(weight) for weight in weights))


def penalties(
    outputs: tf.Tensor, dropped: tf.Tensor, weights: tf.Tensor, keep: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return activation and temporal activation regularisation, in float32 (Merity et al. 2017).

    Args:
        outputs: (time, batch, width) the last layer's outputs.
        dropped: The same with units dropped.
        weights: (time, batch) 1 where the target counts.
        keep: (time, batch, 1), 0 where the state is reset before a step: the change there is no change of a state.

    Returns:
        The mean square of the dropped outputs, and of the outputs' change from step to step.
    """
    count = weights[:, :, None]
    activation = _mean_square(float32(dropped), count)
    if keep is not None:
        count = count * keep
    return activation, _mean_square(_changes(float32(outputs)), count[1:])


@tf.custom_gradient
def _mean_square(values: tf.Tensor, count: tf.Tensor) -> Any:
    """Return the mean square over the units of the steps that count."""
    number = tf.maximum(tf.reduce_sum(count) * tf.cast(values.shape[2], tf.float32), 1.0)
    counted = values * count
    return tf.reduce_sum(values * counted) / number, lambda upstream: (2.0 * upstream / number * counted, None)


@tf.custom_gradient
def _changes(outputs: tf.Tensor) -> Any:
    """Return the change from each step to the next; the gradient of a slice would be TensorFlow's slowest operation."""

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        nothing = tf.zeros_like(outputs[:1])
        return tf.concat([nothing, upstream], 0) - tf.concat([upstream, nothing], 0)

    return outputs[1:] - outputs[:-1], gradient

"""The LSTM language model: encoder, and a softmax tied to the embedding with a bias of its own."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rnnlm.config import Model
from rnnlm.model.encoder import Encoder
from rnnlm.model.lstm import State
from rnnlm.model.softmax import tied_cross_entropy, tied_nll


class LanguageModel(keras.layers.Layer):
    """Probability of the next token.

    Args:
        settings: Widths, number of layers and dropout.
        vocabulary_size: Number of tokens.
        seed: Seed of the initial weights.
        counts: How often each token stands in the training split; the softmax bias starts at its log-frequency,
            so that the first step already knows the unigram distribution. None: zeros (weights are loaded later).
    """

    def __init__(self, settings: Model, vocabulary_size: int, seed: int = 0, counts: np.ndarray | None = None) -> None:
        super().__init__(name="language_model")
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        self.encoder = Encoder(settings, vocabulary_size, seed)
        self.bias = self.add_weight(shape=(vocabulary_size,), initializer="zeros", name="softmax_bias")
        if counts is not None:
            # One is added to each count: a token that the training split lacks is rare, not impossible.
            self.bias.assign(np.log((counts + 1.0) / (counts + 1.0).sum()).astype("float32"))
        self.built = True
        free = tf.TensorSpec((None, None), tf.int32)
        self.compiled_nll = tf.function(
            self.nll,
            input_signature=[
                free,
                free,
                tf.TensorSpec((None, None), tf.bool),
                [(tf.TensorSpec((None, lstm.units)), tf.TensorSpec((None, lstm.units))) for lstm in self.encoder.lstms],
            ],
            autograph=False,
        )

    def call(self, tokens: tf.Tensor, states: list[State] | None = None, keep: tf.Tensor | None = None) -> Any:
        """Give the logits of the next token: (time, batch) ids to (time, batch, vocabulary), and the states."""
        hidden, states = self.encoder(tokens, states, keep)
        embeddings = tf.convert_to_tensor(self.encoder.embedding.embeddings)
        return tf.einsum("tbw,vw->tbv", hidden, embeddings) + self.bias, states

    def loss_sum(
        self,
        tokens: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        states: list[State],
        keep: tf.Tensor | None,
        seed: tf.Tensor | None,
    ) -> Any:
        """Give the weighted sum of negative log-likelihoods of a window, in nats, and the states after it.

        Args:
            tokens: (time, batch) token ids; the shape is known when the function is traced.
            targets: (time, batch) the token after each.
            weights: (time, batch) 1 where the target counts, 0 where not.
            states: State of each layer before the window.
            keep: (time, batch, 1), 0 where the state is reset before a step; none: never.
            seed: Two integers that choose the dropout masks; none: no dropout.
        """
        hidden, states = self.encoder(tokens, states, keep, seed)
        total = tied_cross_entropy(
            tf.reshape(hidden, (-1, self.settings.embedding)),
            tf.convert_to_tensor(self.encoder.embedding.embeddings),
            tf.convert_to_tensor(self.bias),
            tf.reshape(targets, (-1,)),
            tf.reshape(weights, (-1,)),
        )
        return total, states

    def nll(
        self,
        tokens: tf.Tensor,
        targets: tf.Tensor,
        counted: tf.Tensor,
        states: list[State],
    ) -> Any:
        """Give the negative log-likelihood of each target, in nats, and the states after the window.

        Args:
            tokens: (time, batch) token ids, any shape.
            targets: (time, batch) the token after each.
            counted: (time, batch) whether the target counts; where not, 0 is given and nothing is computed.
            states: State of each layer before the window.
        """
        hidden, states = self.encoder(tokens, states)
        where = tf.where(counted)
        nll = tied_nll(
            tf.gather_nd(hidden, where),
            tf.convert_to_tensor(self.encoder.embedding.embeddings),
            tf.convert_to_tensor(self.bias),
            tf.gather_nd(targets, where),
        )
        return tf.scatter_nd(where, nll, tf.shape(tokens, out_type=tf.int64)), states

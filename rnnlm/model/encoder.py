"""Embedding and stacked LSTM: what a language model and a classifier share, and what is transferred."""

from typing import Any

import keras
import tensorflow as tf

from rnnlm.config import Model
from rnnlm.model.lstm import LSTM, State

# Wider than the 0.1 of Merity et al. 2018, whose trainings last for days: here the first hundred steps decide, and
# small embeddings give the LSTM too little to tell apart (after 150 steps perplexity 741 against 869).
EMBEDDING_RANGE = 0.5


class Encoder(keras.layers.Layer):
    """Token ids to hidden states.

    Args:
        settings: Widths, number of layers and dropout.
        vocabulary_size: Number of tokens.
        seed: Seed of the initial weights.
    """

    def __init__(self, settings: Model, vocabulary_size: int, seed: int) -> None:
        super().__init__(name="encoder")
        self.settings = settings
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            settings.embedding,
            embeddings_initializer=keras.initializers.RandomUniform(-EMBEDDING_RANGE, EMBEDDING_RANGE, seed=seed),
            name="embedding",
        )
        # The last layer is as wide as the embedding, to which the softmax is tied.
        widths = [settings.hidden] * (settings.layers - 1) + [settings.embedding]
        self.lstms = [LSTM(width, seed + 10 * (n + 1), name=f"lstm_{n}") for n, width in enumerate(widths)]
        self.embedding.build(None)
        for lstm, width in zip(self.lstms, [settings.embedding, *widths], strict=False):
            lstm.build((None, None, width))
        self.built = True

    def call(
        self,
        tokens: tf.Tensor,
        states: list[State] | None = None,
        keep: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
    ) -> Any:
        """Run over a window of tokens.

        Args:
            tokens: (time, batch) token ids.
            states: State of each layer before the first step; none: zeros.
            keep: (time, batch, 1), 0 where the state is reset before a step; none: never.
            seed: Two integers that choose the dropout masks; none: no dropout.

        Returns:
            The last layer's outputs (time, batch, embedding), and the state of each layer after the last step.
        """
        rate = self.settings.dropout
        hidden = locked_dropout(self.embedding(tokens), rate, seed, 0)
        after = []
        for n, lstm in enumerate(self.lstms):
            hidden, state = lstm(hidden, states[n] if states else None, keep)
            hidden = locked_dropout(hidden, rate, seed, n + 1)
            after.append(state)
        return hidden, after

    def zero_states(self, batch: int) -> list[State]:
        """Give the state before the first token, for `batch` rows."""
        return [(tf.zeros((batch, lstm.units)), tf.zeros((batch, lstm.units))) for lstm in self.lstms]


def locked_dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None, place: int) -> tf.Tensor:
    """Drop units with one mask for all time steps (Gal & Ghahramani 2016); `x` is (time, batch, units).

    Args:
        x: Activations.
        rate: Share of units dropped; the others are scaled up by 1 / (1 - rate).
        seed: Two integers that choose the mask; none: nothing is dropped.
        place: Tells apart the masks that share a seed.
    """
    if seed is None or rate == 0.0:
        return x
    shape = tf.stack([1, tf.shape(x)[1], tf.shape(x)[2]])
    kept = tf.random.stateless_uniform(shape, seed + tf.constant([0, place])) >= rate
    return x * (tf.cast(kept, x.dtype) / (1.0 - rate))

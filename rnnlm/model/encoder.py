"""Embedding and stacked recurrent layers: what all models share, and what is transferred."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rnnlm.model.dropout import HIDDEN, INPUT, OUTPUT, WORD_TYPES, drop_word_types, locked_dropout
from rnnlm.model.gru import GRU
from rnnlm.model.lstm import LSTM, State
from rnnlm.model.precision import Precision
from rnnlm.model.qrnn import QRNN
from rnnlm.seeds import derived
from rnnlm.settings import Model

# Wider than the 0.1 of Merity et al. 2018, whose trainings last for days: here the first hundred steps decide, and
# small embeddings give the LSTM too little to tell apart (after 150 steps perplexity 741 against 869).
EMBEDDING_RANGE = 0.5

# A layer of each recurrent cell, by its width, its seed and its number from 0.
CELLS: dict[str, Callable[..., LSTM | GRU | QRNN]] = {
    "lstm": lambda units, seed, _n, **named: LSTM(units, seed, **named),
    "gru": lambda units, seed, _n, **named: GRU(units, seed, **named),
    # The first layer sees the token before, as in Merity et al. 2018.
    "qrnn": lambda units, seed, n, **named: QRNN(units, seed, window=2 if n == 0 else 1, **named),
}


class Encoder(keras.layers.Layer):
    """Token ids to hidden states.

    Args:
        settings: Widths, number of layers, cell and dropout.
        vocabulary_size: Number of tokens.
        seed: Seed of the initial weights.
    """

    def __init__(self, settings: Model, vocabulary_size: int, seed: int) -> None:
        super().__init__(name="encoder")
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            settings.embedding,
            embeddings_initializer=keras.initializers.RandomUniform(
                -EMBEDDING_RANGE, EMBEDDING_RANGE, seed=derived(seed, "embedding")
            ),
            name="embedding",
        )
        # The last layer is as wide as the embedding, to which the softmax is tied.
        widths = [settings.hidden] * (settings.layers - 1) + [settings.embedding]
        cell = CELLS[settings.cell]
        self.cells = [
            cell(width, derived(seed, "layer", n), n, name=f"{settings.cell}_{n}") for n, width in enumerate(widths)
        ]
        self.embedding.build(None)
        for layer, width in zip(self.cells, [settings.embedding, *widths], strict=False):
            layer.build((None, None, width))
        self.built = True

    @property
    def layers_of_variables(self) -> list[list[keras.Variable]]:
        """What is trained in each layer, from the embedding upwards."""
        return [list(layer.trainable_variables) for layer in (self.embedding, *self.cells)]

    def call(
        self,
        tokens: tf.Tensor,
        states: list[State] | None = None,
        keep: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        precision: Precision = "float32",
        training: bool = True,
        all_layers: bool = False,
    ) -> Any:
        """Run over a window of tokens.

        Args:
            tokens: (time, batch) token ids.
            states: State of each layer before the first step; if None, zeros.
            keep: (time, batch, 1), 0 where the state is reset before a step; if None, never.
            seed: Two integers that choose the dropout masks; if None, it is an evaluation, and nothing is dropped.
            precision: Type of the products.
            training: Whether a gradient may be taken; where not, what only it needs is neither kept nor written.
            all_layers: Whether the outputs of all layers are given, those of the embedding first.

        Returns:
            The last layer's outputs (time, batch, embedding), before `drop_outputs`, and the state of each layer
            after the last step.
        """
        dropout = self.settings.dropout
        evaluated = seed is None and not training and precision == "float32"
        looked_up = {"ids": tokens} if evaluated and not all_layers and self.cells[0].looks_up else {}
        if looked_up:
            hidden = tf.convert_to_tensor(self.embedding.embeddings)
        else:
            hidden = drop_word_types(
                self.embedding(tokens), tokens, self.vocabulary_size, dropout.embedding, seed, WORD_TYPES
            )
            hidden = locked_dropout(hidden, dropout.input, seed, INPUT)
        after, outputs = [], [hidden]
        for n, layer in enumerate(self.cells):
            if n > 0:
                hidden = locked_dropout(hidden, dropout.hidden, seed, HIDDEN + n)
            dropped = layer.drop(dropout, seed, n, tf.shape(tokens))
            state = states[n] if states else None
            given = looked_up if n == 0 else {}
            hidden, state = layer(hidden, state, keep, dropped=dropped, precision=precision, training=training, **given)
            after.append(state)
            outputs.append(hidden)
        return outputs if all_layers else hidden, after

    @property
    def widths(self) -> list[int]:
        """Widths of the outputs of all layers, that of the embedding first."""
        return [self.settings.embedding, *(layer.state_widths[0] for layer in self.cells)]

    def drop_outputs(self, outputs: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        """Drop units of the last layer's outputs (time, batch, embedding), as before the softmax."""
        return locked_dropout(outputs, self.settings.dropout.output, seed, OUTPUT)

    def zero_states(self, batch: int | tf.Tensor) -> list[State]:
        """Return the state before the first token, for `batch` rows."""
        return [tuple(tf.zeros((batch, width)) for width in layer.state_widths) for layer in self.cells]

"""A language model in the middle of a text: what may come next, and one step more for each word more.

    reader = Reader(model, tokenizer)
    session = reader.start().feed("the film was")
    session.log_probabilities[0]            # of each token of the vocabulary, after these words
    session.feed("great"), session.feed("dull")  # both go on from the same place

A session never changes, so it needs no copy: whoever keeps it can go on from it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rnnlm.inference.prompt import read
from rnnlm.inference.texts import clean
from rnnlm.model.language_model import LanguageModel
from rnnlm.tokens import TextTokenizer

WINDOW = 128  # tokens that are read at once


class Reader:
    """A language model that reads and tells what may come next, with the weights that it has now.

    Args:
        model: The language model.
        tokenizer: Its tokenizer.
    """

    def __init__(self, model: LanguageModel, tokenizer: TextTokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        # As constants of the graph, what the kernel does to the weights first (it puts gates side by side) is done once
        # and not at each step: 1.1 ms in place of 1.5 for 2 layers of 192 and 10,000 tokens.
        recurrent = [variable for layer in model.encoder.cells for variable in layer.variables]
        self._constants = [(variable, keras.ops.convert_to_numpy(variable)) for variable in recurrent]
        # Made once, for any number of texts: nothing is traced anew.
        self.compiled_step = tf.function(
            self._step,
            input_signature=[
                tf.TensorSpec((None, None), tf.int32),
                tf.TensorSpec((None,), tf.int32),
                [tuple(tf.TensorSpec((None, width)) for width in layer.state_widths) for layer in model.encoder.cells],
            ],
            autograph=False,
        )

    def start(self) -> "Session":
        """Begin a document: its `<bos>` is read, or in running text the `<eos>` of what came before."""
        return self.empty().feed(read(self.tokenizer, ""))

    def empty(self) -> "Session":
        """Return the state before the first token of all; what comes first is not known."""
        nothing = np.full((1, self.model.vocabulary_size), np.nan, np.float32)
        return Session(self, nothing, self.model.encoder.zero_states(1))

    def _step(self, tokens: tf.Tensor, of: tf.Tensor, states: Any) -> Any:
        chosen = [tuple(tf.gather(part, of) for part in state) for state in states]
        constants = [(variable, tf.constant(weights)) for variable, weights in self._constants]
        with keras.StatelessScope(constants):
            hidden, after = self.model.encoder(tokens, chosen, training=False)
        return self.model.log_probabilities(hidden[-1]), after


@dataclass(frozen=True, eq=False)
class Session:
    """One text that was read so far, or several side by side.

    Attributes:
        reader: Who reads.
        log_probabilities: (texts, vocabulary) of the next token of each, in nats, float32.
    """

    reader: Reader = field(repr=False)
    log_probabilities: np.ndarray = field(repr=False)
    _states: Any = field(repr=False)

    def feed(self, more: str | Sequence[int]) -> "Session":
        """Read on, the same in each of the texts.

        Args:
            more: Text, or ids. A text is tokenized by itself: a word must not be cut in two.

        Returns:
            The session after it. However long it is, memory is needed for a short part of it only.
        """
        ids = self.reader.tokenizer.encode([clean(more)])[0] if isinstance(more, str) else list(more)
        if isinstance(more, str):
            ids = [i for i in ids if i not in (self.reader.tokenizer.bos, self.reader.tokenizer.eos)]
        session, texts = self, len(self.log_probabilities)
        for start in range(0, len(ids), WINDOW):
            part = np.array(ids[start : start + WINDOW], np.int32)
            session = session._read(np.repeat(part[:, None], texts, axis=1), np.arange(texts))
        return session

    def step(self, tokens: Sequence[int], of: Sequence[int]) -> "Session":
        """Read one token more of some of the texts.

        Args:
            tokens: The token of each new text.
            of: The place of the text that each of them goes on from; a text may be gone on from twice, or not at all.

        Returns:
            As many texts as there are tokens.
        """
        return self._read(np.array(tokens, np.int32)[None], np.array(of))

    @staticmethod
    def side_by_side(sessions: Sequence["Session"]) -> "Session":
        """Put the texts of several sessions of one reader side by side."""
        if len(sessions) == 1:
            return sessions[0]
        log_probabilities = np.concatenate([session.log_probabilities for session in sessions])
        states = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *(session._states for session in sessions))
        return Session(sessions[0].reader, log_probabilities, states)

    def _read(self, tokens: np.ndarray, of: np.ndarray) -> "Session":
        log_probabilities, states = self.reader.compiled_step(tokens, of.astype(np.int32), self._states)
        return Session(self.reader, log_probabilities.numpy(), states)

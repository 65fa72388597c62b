"""A language model in the middle of a text: what may come next, and one more step for each more word.

    reader = Reader(model, tokenizer)
    session = reader.start().feed("the film was")
    session.log_probabilities[0]            # of each token of the vocabulary, after these words
    session.feed("great"), session.feed("dull")  # both continue from the same place

A session never changes, so it needs no copy. You can continue from it again and again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rnnlm.inference.prompt import read
from rnnlm.inference.steps import States, steps_of
from rnnlm.inference.texts import clean
from rnnlm.model.language_model import LanguageModel
from rnnlm.tokens import TextTokenizer

WINDOW = 128  # tokens that are read together


class Reader:
    """A language model that reads text and predicts the next token, with its present weights.

    Args:
        model: The language model.
        tokenizer: Its tokenizer.
    """

    def __init__(self, model: LanguageModel, tokenizer: TextTokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.steps = steps_of(model)

    def start(self) -> "Session":
        """Begin a document: read its `<bos>`, or in running text the `<eos>` before it."""
        return self.empty().feed(read(self.tokenizer, ""))

    def empty(self) -> "Session":
        """Return the state before the very first token. Nothing is predicted yet."""
        nothing = np.full((1, self.model.vocabulary_size), np.nan, np.float32)
        layers = self.model.encoder.cells
        states = [tuple(np.zeros((1, width), np.float32) for width in layer.state_widths) for layer in layers]
        return Session(self, nothing, states)


@dataclass(frozen=True, eq=False)
class Session:
    """The state after one text so far, or after several side by side.

    Attributes:
        reader: The reader.
        log_probabilities: (texts, vocabulary) log-probabilities of the next token of each text, in nats, float32.
    """

    reader: Reader = field(repr=False)
    log_probabilities: np.ndarray = field(repr=False)
    _states: States = field(repr=False)

    def feed(self, more: str | Sequence[int]) -> "Session":
        """Continue each of the texts with the same tokens.

        Args:
            more: Text, or ids. A text is tokenized alone, so it must not begin or end inside a word.

        Returns:
            The session after it. Memory is needed only for a short piece of it, however long it is.
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
        """Continue some of the texts by one token.

        Args:
            tokens: The token of each new text.
            of: The place of the text that each of them continues. A text may be continued twice, or not at all.

        Returns:
            One text for each token.
        """
        return self._read(np.array(tokens, np.int32)[None], np.array(of))

    @staticmethod
    def side_by_side(sessions: Sequence["Session"]) -> "Session":
        """Put the texts of several sessions of one reader side by side."""
        if len(sessions) == 1:
            return sessions[0]
        log_probabilities = np.concatenate([session.log_probabilities for session in sessions])
        states = [
            tuple(np.concatenate(parts) for parts in zip(*of_layer, strict=True))
            for of_layer in zip(*(session._states for session in sessions), strict=True)
        ]
        return Session(sessions[0].reader, log_probabilities, states)

    def _read(self, tokens: np.ndarray, of: np.ndarray) -> "Session":
        return Session(self.reader, *self.reader.steps(tokens, of, self._states))

"""Which tokens may come next: those that keep the text valid UTF-8, and no token that represents no text.

A token of a byte or subword vocabulary may be a part of a character. The automaton of well-formed UTF-8 (Unicode 17.0,
table 3-7) decides what may follow; each byte is a step in it. Control characters, which `ingest` removes from every
text, are excluded here too.
"""

import bisect

import numpy as np

from rnnlm.tokens import TextTokenizer

# States: between characters; one or two bytes missing; after C2, E0, ED, F0; after F1 to F3; after F4.
WHOLE, ONE, TWO, C2, E0, ED, F0, F1, F4 = range(9)
STATES = 9
_BROKEN = 9
# The number of missing bytes in each state.
_MISSING = np.array([0, 1, 2, 1, 2, 2, 3, 3, 3, 0])
_STEPS: dict[int, list[tuple[range, int]]] = {
    WHOLE: [
        (range(ord("\t"), ord("\n") + 1), WHOLE),
        (range(0x20, 0x7F), WHOLE),
        (range(0xC2, 0xC3), C2),
        (range(0xC3, 0xE0), ONE),
        (range(0xE0, 0xE1), E0),
        (range(0xE1, 0xED), TWO),
        (range(0xED, 0xEE), ED),
        (range(0xEE, 0xF0), TWO),
        (range(0xF0, 0xF1), F0),
        (range(0xF1, 0xF4), F1),
        (range(0xF4, 0xF5), F4),
    ],
    ONE: [(range(0x80, 0xC0), WHOLE)],
    TWO: [(range(0x80, 0xC0), ONE)],
    C2: [(range(0xA0, 0xC0), WHOLE)],
    E0: [(range(0xA0, 0xC0), ONE)],
    ED: [(range(0x80, 0xA0), ONE)],
    F0: [(range(0x90, 0xC0), TWO)],
    F1: [(range(0x80, 0xC0), TWO)],
    F4: [(range(0x80, 0x90), TWO)],
}


def _automaton() -> np.ndarray:
    table = np.full((STATES + 1, 256), _BROKEN, np.int8)
    for state, steps in _STEPS.items():
        for accepted, after in steps:
            table[state, accepted.start : accepted.stop] = after
    return table


_AUTOMATON = _automaton()


class Characters:
    """What a vocabulary may write.

    Args:
        tokenizer: Its tokenizer.

    Attributes:
        written: What each token adds to a text, in UTF-8. None if it represents no text.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self.written = tokenizer.written
        in_order = sorted((token, i) for i, token in enumerate(tokenizer.written) if token is not None)
        self._sorted = [token for token, _ in in_order]
        self._ids = np.array([i for _, i in in_order], np.int64)
        # (states, vocabulary): the state after each token.
        self._after = np.stack([_after(token) for token in tokenizer.written], axis=1)
        self._after[WHOLE, tokenizer.eos] = WHOLE

    def after(self, state: int, token: int) -> int:
        """Return the state after an allowed token."""
        return int(self._after[state, token])

    def allowed(self, state: int, left: int, rest: bytes = b"") -> np.ndarray:
        """Return which tokens may come next: (vocabulary,) bool.

        Args:
            state: The state after the text so far.
            left: How many tokens may come after the next. The character that it begins must be complete by then.
            rest: What the token must begin with. If empty, any token may come.
        """
        after = self._after[state]
        may = np.asarray((after != _BROKEN) & (_MISSING[after] <= left))
        return may & self.completing(rest) if rest else may

    def completing(self, rest: bytes) -> np.ndarray:
        """Return which tokens begin with this, or are equal to it: (vocabulary,) bool."""
        start = bisect.bisect_left(self._sorted, rest)
        end = bisect.bisect_right(self._sorted, rest, lo=start, key=lambda token: token[: len(rest)])
        found = np.zeros(len(self.written), bool)
        found[self._ids[start:end]] = True
        return found

    def inside(self, rest: bytes) -> list[int]:
        """Return the tokens that this begins with, except those equal to it."""
        found = []
        for length in range(1, len(rest)):
            start, end = (side(self._sorted, rest[:length]) for side in (bisect.bisect_left, bisect.bisect_right))
            found += self._ids[start:end].tolist()
        return found


def _after(token: bytes | None) -> np.ndarray:
    """Return the state that a token leads to from each state: (states,) int8."""
    if token is None:
        return np.full(STATES, _BROKEN, np.int8)
    states = np.arange(STATES, dtype=np.int8)
    for byte in token:
        states = _AUTOMATON[states, byte]
    return states

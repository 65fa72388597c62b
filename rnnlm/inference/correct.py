"""Spelling: which word was meant, going by its letters and by the words around it.

A noisy channel (Kernighan, Church & Gale 1990; Mays, Damerau & Mercer 1991): each candidate near a word is put in its
place, the language model scores the words around it with it, and each edit costs a penalty. A word that is known costs
no edit, so it stays unless another fits better by more than that. Words are corrected from left to right: those before
are corrected already, those behind are as they were.

A model with a closed vocabulary gives a word that it does not know the probability of `<unk>`, that of all unknown
words together. It pays for its letters too then, each alike: else it would cost less than many a rare word.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rnnlm.inference.lexicon import Lexicon, Near, plain
from rnnlm.inference.score import score
from rnnlm.inference.settings import Correcting
from rnnlm.inference.texts import whole_characters, words_of
from rnnlm.inference.trained import Trained
from rnnlm.tokens import TextTokenizer

AROUND = 30  # words on both sides that are scored with a candidate
MOST = 100  # candidates of a word; of more the nearest and most frequent
SHOWN = 5  # candidates that are told of


@dataclass(frozen=True)
class Candidate:
    """A word that may have been meant.

    Attributes:
        word: As it would stand in the text.
        distance: How many edits it is away from what was written.
        log_probability: What the language model gives the words around with it in its place, in nats.
        total: The same without the penalties.
    """

    word: str
    distance: int
    log_probability: float
    total: float


@dataclass(frozen=True)
class CheckedWord:
    """A word that was looked at, because others are near it.

    Attributes:
        word: As it was written.
        start: Where it begins in the text, in characters.
        end: Where it ends.
        correction: What stands there now; the same where it stays.
        candidates: The best, itself among them or not, the best first.
    """

    word: str
    start: int
    end: int
    correction: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Corrected:
    """A text with its spelling corrected.

    Attributes:
        text: As it was given, but for the words that were replaced.
        words: Those that were looked at, in their order.
    """

    text: str
    words: tuple[CheckedWord, ...]


def correct(trained: Trained, text: str, how: Correcting, lexicon: Lexicon) -> Corrected:
    """Correct the spelling of a text.

    Args:
        trained: A language model.
        text: Any text. Numbers and signs are left alone.
        how: Distance and penalty.
        lexicon: The words that are right.

    Raises:
        ConfigError: If the model is a classifier.
    """
    text = whole_characters(text)
    found = words_of(text)
    now = [word for word, _ in found]
    edges = [0, *(edge for _, place in found for edge in place), len(text)]
    between = [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    spelling = math.log(1 + len({letter for word in lexicon.ranks for letter in word}))
    checked = []
    for n, (word, (start, end)) in enumerate(found):
        near = [Near(plain(word), 0, -1), *(one for one in lexicon.near(word, how.distance) if one.distance)][:MOST]
        if len(near) == 1:
            continue
        first, last = max(0, n - AROUND), n + AROUND + 1
        before = _joined("" if first else between[0], now[first:n], between[first + 1 : n + 1])
        after = _joined(between[n + 1], now[n + 1 : last], between[n + 2 : last + 1])
        spellings = [word, *(_cased(one.word, word) for one in near[1:])]
        scores = score(trained, [f"{before}{spelt}{after}" for spelt in spellings])
        candidates = [
            Candidate(
                spelt,
                one.distance,
                -scored.nll,
                -scored.nll
                - how.penalty * one.distance
                - spelling * (len(spelt) + 1) * _is_unknown(trained.tokenizer, spelt),
            )
            for spelt, one, scored in zip(spellings, near, scores, strict=True)
        ]
        candidates.sort(key=lambda one: -one.total)  # of equal ones, what was written comes first
        now[n] = candidates[0].word
        checked.append(CheckedWord(word, start, end, now[n], tuple(candidates[:SHOWN])))
    return Corrected(_joined(between[0], now, between[1:]), tuple(checked))


def _joined(beginning: str, words: Sequence[str], gaps: Sequence[str]) -> str:
    """Put words together, each with the gap behind it."""
    return beginning + "".join(word + gap for word, gap in zip(words, gaps, strict=True))


def _cased(candidate: str, written: str) -> str:
    """Return a candidate the capitals of the word that was written."""
    if len(written) > 1 and written.isupper():
        return candidate.upper()
    return candidate[0].upper() + candidate[1:] if written[0].isupper() else candidate


def _is_unknown(tokenizer: TextTokenizer, word: str) -> bool:
    return not tokenizer.knows_all and tokenizer.unk in tokenizer.encode([word])[0]

"""Spelling: which word was meant, judged by its letters and by the words around it.

This is a noisy channel (Kernighan, Church & Gale 1990; Mays, Damerau & Mercer 1991). Each candidate near a word
replaces it, the language model scores it together with the words around it, and each edit costs a penalty. A known word
costs no edit, so it stays unless another one fits better by more than the penalty. Words are corrected from left to
right: the words before are already corrected, the words after are not.

A model with a closed vocabulary gives an unknown word the probability of `<unk>`, which is that of all unknown words
together. Such a word also pays for its letters, equally for each. Otherwise it would cost less than many rare words.
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

AROUND = 30  # words on each side that are scored with a candidate
MOST = 100  # candidates of a word: the nearest and most frequent
SHOWN = 5  # candidates that are returned


@dataclass(frozen=True)
class Candidate:
    """A word that may have been meant.

    Attributes:
        word: The word as it would be in the text.
        distance: The number of edits between it and the written word.
        log_probability: The language model's log-probability of the words around it, with it in place, in nats.
        total: The same minus the penalties.
    """

    word: str
    distance: int
    log_probability: float
    total: float


@dataclass(frozen=True)
class CheckedWord:
    """A word that was checked, because others are near it.

    Attributes:
        word: As it was written.
        start: Where it begins in the text, in characters.
        end: Where it ends.
        correction: The word in the corrected text. It may be the same.
        candidates: The best candidates, the best first. The word itself may be among them.
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
        text: The given text, with some words replaced.
        words: The words that were checked, in their order.
    """

    text: str
    words: tuple[CheckedWord, ...]


def correct(trained: Trained, text: str, how: Correcting, lexicon: Lexicon) -> Corrected:
    """Correct the spelling of a text.

    Args:
        trained: A language model.
        text: Any text. Numbers and signs are not changed.
        how: Distance and penalty.
        lexicon: The correct words.

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
        candidates.sort(key=lambda one: -one.total)  # of equal ones, the written word comes first
        now[n] = candidates[0].word
        checked.append(CheckedWord(word, start, end, now[n], tuple(candidates[:SHOWN])))
    return Corrected(_joined(between[0], now, between[1:]), tuple(checked))


def _joined(beginning: str, words: Sequence[str], gaps: Sequence[str]) -> str:
    """Join words, each with the gap after it."""
    return beginning + "".join(word + gap for word, gap in zip(words, gaps, strict=True))


def _cased(candidate: str, written: str) -> str:
    """Return the candidate with the capitals of the written word."""
    if len(written) > 1 and written.isupper():
        return candidate.upper()
    return candidate[0].upper() + candidate[1:] if written[0].isupper() else candidate


def _is_unknown(tokenizer: TextTokenizer, word: str) -> bool:
    return not tokenizer.knows_all and tokenizer.unk in tokenizer.encode([word])[0]

"""Documents as lists of words: the text that they make, and where each word is in it."""

import functools
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

from rnnlm.corpus.clean import plain_name
from rnnlm.corpus.scripts import UNSPACED, script_of

# What scripts without spaces are punctuated with: CJK punctuation, and the full-width forms of ASCII.
_PUNCTUATION = ((0x3000, 0x3040), (0xFF01, 0xFF66))
# Joiners and variation selectors, which belong to the character before them.
_JOINERS = "\u200c\u200d\ufe00-\ufe0f"

UNSEEN = "\ufffd"  # a word that nothing visible is left of

Span = Sequence[int]  # the first character of a word in a text, and the one after its last


def joined(words: Sequence[str]) -> str:
    """Return the text that words make: with a space between two of them, where their script has spaces."""
    return "".join(_parts(words))


def spans(words: Sequence[str]) -> list[tuple[int, int]]:
    """Return where each word is in the text of `joined`: its first character, and the one after its last."""
    found, place = [], 0
    for part, word in zip(_parts(words), words, strict=True):
        place += len(part)
        found.append((place - len(word), place))
    return found


def words_in(text: str, places: Iterable[Span]) -> list[str]:
    """Return the words at these places of a text."""
    return [text[begin:end] for begin, end in places]


def cleaned(words: Iterable[str], clean: Callable[[str], str]) -> list[str]:
    """Clean each word by itself. One that nothing visible is left of becomes U+FFFD, so that none is lost."""
    return [clean(word) if plain_name(word) else UNSEEN for word in words]


def split_words(text: str) -> list[tuple[int, int]]:
    """Return where the words of a text are that nobody cut into words.

    A punctuation mark is a word of its own. In a script without spaces, each character is one.
    """
    return [span for match in _word().finditer(text) for span in _characters(text, *match.span())]


@functools.cache
def _word() -> re.Pattern[str]:
    """Return what matches a word: addresses, names of users and topics, words with what is inside them, and signs."""
    # Python's \w has no marks: without them Hindi, or vocalised Arabic, would be cut inside its words.
    marks = "".join(map(re.escape, map(chr, filter(_is_mark, range(0x300, sys.maxunicode))))) + _JOINERS
    word = rf"\w[\w{marks}]*"
    sign = rf"[^\w\s{marks}][{marks}]*"
    return re.compile(
        # Without a punctuation mark behind it, which is the sentence's.
        r"https?://[^\s<>\"]*[^\s<>\"().,;:!?\u3000-\u9fff\uff00-\uff65]"
        # don't, e-mail, 3.5, 1,000
        rf"|[@#]?{word}(?:(?:['’.\-]|(?<=\d),(?=\d)){word})*"
        # A family of emoji is joined by joiners.
        rf"|{sign}(?:(?<=\u200d){sign})*"
    )


def _is_mark(code: int) -> bool:
    return unicodedata.category(chr(code)).startswith("M")


def _parts(words: Sequence[str]) -> Iterator[str]:
    """Yield each word, with the space before it if there is one."""
    before = ""
    for word in words:
        yield f" {word}" if before and word and not _together(before, word[0]) else word
        before = word[-1:] or before


def _together(before: str, behind: str) -> bool:
    """Return whether there is no space between two words, by the characters that they end and begin with."""
    unspaced = _unspaced(before), _unspaced(behind)
    # Figures and signs are written without spaces beside them, Latin words with them.
    return all(unspaced) or (any(unspaced) and not (before if unspaced[1] else behind).isalpha())


def _characters(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Part a word where its script is one without spaces."""
    start = begin
    for place in range(begin + 1, end):
        character = text[place]
        belongs = _is_mark(ord(character)) or character in "\u200c\u200d"
        if not belongs and (_unspaced(character) or _unspaced(text[start])):
            yield start, place
            start = place
    yield start, end


def _unspaced(character: str) -> bool:
    if character < "\u0e00":
        return False
    code = ord(character)
    return script_of(character) in UNSPACED or any(first <= code < end for first, end in _PUNCTUATION)

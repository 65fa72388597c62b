"""Documents as lists of words: the text that they make, and where each word is in it."""

import re
from collections.abc import Iterable, Sequence

from rnnlm.corpus.scripts import UNSPACED, script_of

# What such scripts are punctuated with.
_PUNCTUATION = ((0x3000, 0x3040), (0xFF01, 0xFF66))  # CJK punctuation, and the full-width forms of ASCII

# The words of a text that nobody cut into words: addresses, names of users and topics, words with what is inside them
# (don't, e-mail, 3.5), and each sign by itself.
_WORD = re.compile(r"https?://\S+|[@#]?\w+(?:['’.\-]\w+)*|[^\w\s]")

UNSEEN = "\ufffd"  # a word that nothing visible is left of


def joined(words: Sequence[str]) -> str:
    """Return the text that words make: with a space between two of them, where their script has spaces.

    Args:
        words: The words, none of them empty.
    """
    return "".join(_parts(words))


def spans(words: Sequence[str]) -> list[tuple[int, int]]:
    """Return the first character of each word in the text of `joined`, and the one after its last.

    Args:
        words: The words, none of them empty.
    """
    found, place = [], 0
    for part, word in zip(_parts(words), words, strict=True):
        place += len(part)
        found.append((place - len(word), place))
    return found


def split_words(text: str) -> list[str]:
    """Return the words of a text that nobody cut into words.

    Signs are words of their own. In a script without spaces, each character is a word.
    """
    return [part for word in _WORD.findall(text) for part in _characters(word)]


def _parts(words: Sequence[str]) -> Iterable[str]:
    """Yield each word, with the space before it if there is one."""
    before = ""
    for word in words:
        yield f" {word}" if before and not (_unspaced(before) and _unspaced(word[0])) else word
        before = word[-1]


def _characters(word: str) -> Iterable[str]:
    """Part a word where its script is one without spaces."""
    if not any(map(_unspaced, word)):
        return [word]
    found: list[str] = []
    for character in word:
        if found and not _unspaced(character) and not _unspaced(found[-1][-1]):
            found[-1] += character
        else:
            found.append(character)
    return found


def _unspaced(character: str) -> bool:
    if character < "\u0e00":
        return False
    code = ord(character)
    return script_of(character) in UNSPACED or any(first <= code < end for first, end in _PUNCTUATION)

"""Cleaning of a document's text."""

import re
import unicodedata
from collections.abc import Callable

from rnnlm.config import Corpus

# Line tabulation, form feed, the separators and the C1 block stand between words (the C1 block mostly for a dash that
# lost its code page): they become a space. The other control characters stand for nothing.
_BETWEEN_WORDS = {0x0B, 0x0C, *range(0x1C, 0x20), *range(0x80, 0xA0)}
_CONTROL = {
    code: " " if code in _BETWEEN_WORDS else None
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in "\t\n"
}

# A byte order mark stands at the start; inside, the same character is a word joiner (36 tokens of WikiText-2).
_START = re.compile(r"\A[\s\ufeff]+")

# Zero-width space, word joiner, byte order mark, soft hyphen, marks of direction.
_UNSEEN = dict.fromkeys([0x200B, 0x2060, 0xFEFF, 0xAD, 0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F)])
_JOINERS = re.compile(r"\A[\s\u200c\u200d]+|[\s\u200c\u200d]+\Z")

# No line break inside a tag: what one replacement leaves behind is then never a tag again.
_HTML_BREAK = re.compile(r"</?(?:br|p)(?:[ \t][^<>\n]*)?/?>", re.IGNORECASE)


def cleaner(corpus: Corpus) -> Callable[[str], str]:
    """Return the function that cleans a document.

    Line ends become LF, control characters go (but for LF and TAB), text becomes Unicode NFC, HTML breaks become line
    ends if so configured, the replacements are made in order, and white space at both ends goes.
    """
    replacements = [(re.compile(replacement.pattern), replacement.by) for replacement in corpus.replace]

    def clean(text: str) -> str:
        text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROL)
        text = unicodedata.normalize("NFC", text)
        if corpus.html_breaks:
            text = _HTML_BREAK.sub("\n", text)
        for pattern, by in replacements:
            text = pattern.sub(by, text)
        return _START.sub("", text).rstrip()

    return clean


def plain_name(name: str) -> str:
    """Return the name of a label, a group, a split or a column without what nobody sees, so that names can be compared.

    Control characters, zero-width spaces and byte order marks go, text becomes Unicode NFC, and white space at both
    ends goes. A joiner between two characters stays: Persian words and emoji have it.
    """
    if name.isascii() and name.isprintable():
        return name.strip()
    name = unicodedata.normalize("NFC", name.replace("\r", "\n").translate(_CONTROL).translate(_UNSEEN))
    return _JOINERS.sub("", name)

"""Cleaning of a document's text."""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rnnlm.errors import ConfigError
from rnnlm.settings import Corpus

if TYPE_CHECKING:
    import regex

# Seconds that a pattern may take for one document: some need a time that doubles with each character.
PATIENCE = 10.0
# Characters that replacements may make of a document, at most.
LONGEST = 2_000_000_000

# Line tabulation, form feed, the separators and the C1 block are found between words (the C1 block mostly as a dash
# that lost its code page), so they become a space. The other control characters are removed.
_BETWEEN_WORDS = {0x0B, 0x0C, *range(0x1C, 0x20), *range(0x80, 0xA0)}
_CONTROL = {
    code: " " if code in _BETWEEN_WORDS else None
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in "\t\n"
}

# A byte order mark is at the start. Inside a text, the same character is a word joiner (36 tokens of WikiText-2).
_START = re.compile(r"\A[\s\ufeff]+")

# Zero-width space, word joiner, byte order mark, soft hyphen, marks of direction.
_UNSEEN = dict.fromkeys([0x200B, 0x2060, 0xFEFF, 0xAD, 0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F)])
_JOINERS = re.compile(r"\A[\s\u200c\u200d]+|[\s\u200c\u200d]+\Z")

# There is no line break inside a tag. So the result of a replacement is never a tag again.
_HTML_BREAK = re.compile(r"</?(?:br|p)(?:[ \t][^<>\n]*)?/?>", re.IGNORECASE)


def cleaner(corpus: Corpus) -> Callable[[str], str]:
    """Return the function that cleans a document.

    Line ends become LF. Control characters other than LF and TAB are removed. Text becomes Unicode NFC. HTML breaks
    become line ends, if the corpus says so. The replacements are made in order. White space at both ends is removed.
    """
    replacements = [(_compiled(replacement.pattern), replacement.by) for replacement in corpus.replace]

    def clean(text: str) -> str:
        text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROL)
        text = unicodedata.normalize("NFC", text)
        if corpus.html_breaks:
            text = _HTML_BREAK.sub("\n", text)
        for pattern, by in replacements:
            with _in_time("replace", pattern):
                text = _replaced(pattern, by, text)
        return _START.sub("", text).rstrip()

    return clean


def _replaced(pattern: "regex.Pattern[str]", by: str, text: str) -> str:
    too_long = ConfigError(f"may make a text of {len(text):,} characters too long", where="replace")
    if "\\" not in by:
        if len(text) * (1 + len(by)) > LONGEST:
            raise too_long
        return pattern.sub(by, text, timeout=PATIENCE)
    made = 0

    def one(match: "regex.Match[str]") -> str:
        # A group may be found again and again (`(?=(.*))`), so that no length is known before.
        nonlocal made
        piece = match.expand(by)
        made += len(piece)
        if made > LONGEST:
            raise too_long
        return piece

    return pattern.sub(one, text, timeout=PATIENCE)


def label_in(pattern: str, address: str) -> str | None:
    """Return the first group of `label_pattern` in an address.

    Raises:
        ConfigError: If it takes too long.
    """
    compiled = _compiled(pattern)
    with _in_time("label_pattern", compiled):
        match = compiled.search(address, timeout=PATIENCE)
    return match[1] if match else None


@functools.cache
def _compiled(pattern: str) -> "regex.Pattern[str]":
    import regex  # unlike Python's own, it can be told how long it may take

    return regex.compile(pattern)


@contextmanager
def _in_time(field: str, pattern: "regex.Pattern[str]") -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise ConfigError(
            f"the pattern {pattern.pattern!r} takes more than {PATIENCE:.0f} seconds for one document",
            where=field,
            remedy="Write it so that it can match in one way only: `a+$` in place of `(a+)+$`.",
        ) from error


def plain_name(name: str) -> str:
    """Return the name of a label, group, split or column without invisible characters, so that names can be compared.

    Control characters, zero-width spaces, byte order marks and white space at both ends are removed. Text becomes
    Unicode NFC. A joiner between two characters is kept, because Persian words and emoji have it.
    """
    if name.isascii() and name.isprintable():
        return name.strip()
    name = unicodedata.normalize("NFC", name.replace("\r", "\n").translate(_CONTROL).translate(_UNSEEN))
    return _JOINERS.sub("", name)

"""The scripts of a text, by the Unicode blocks of its letters."""

import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping

# The first character of each known block. A character between two of them belongs to the first one.
_STARTS = [
    (0x0041, "Latin"),
    (0x0370, "Greek"),
    (0x0400, "Cyrillic"),
    (0x0530, "Armenian"),
    (0x0590, "Hebrew"),
    (0x0600, "Arabic"),
    (0x0700, "other"),
    (0x0750, "Arabic"),
    (0x0780, "other"),
    (0x08A0, "Arabic"),
    (0x0900, "Devanagari"),
    (0x0980, "Bengali"),
    (0x0A00, "Gurmukhi"),
    (0x0A80, "Gujarati"),
    (0x0B00, "other"),
    (0x0B80, "Tamil"),
    (0x0C00, "Telugu"),
    (0x0C80, "Kannada"),
    (0x0D00, "Malayalam"),
    (0x0D80, "Sinhala"),
    (0x0E00, "Thai"),
    (0x0E80, "Lao"),
    (0x0F00, "Tibetan"),
    (0x1000, "Myanmar"),
    (0x10A0, "Georgian"),
    (0x1100, "Hangul"),
    (0x1200, "Ethiopic"),
    (0x13A0, "other"),
    (0x1780, "Khmer"),
    (0x1800, "other"),
    (0x1E00, "Latin"),
    (0x1F00, "Greek"),
    (0x2000, "other"),
    (0x3040, "Kana"),
    (0x3100, "other"),
    (0x3130, "Hangul"),
    (0x3190, "other"),
    (0x3400, "Han"),
    (0xA000, "other"),
    (0xAC00, "Hangul"),
    (0xD7B0, "other"),
    (0xF900, "Han"),
    (0xFB00, "Latin"),
    (0xFB1D, "Hebrew"),
    (0xFB50, "Arabic"),
    (0xFE00, "other"),
    (0xFE70, "Arabic"),
    (0xFF00, "Latin"),
    (0xFF66, "Kana"),
    (0xFFA0, "other"),
    (0x20000, "Han"),
    (0x323B0, "other"),
]
_CODES = [code for code, _ in _STARTS]

# Scripts whose words are not separated by spaces.
UNSPACED = frozenset({"Han", "Kana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"})


def blocks(scripts: Collection[str]) -> list[tuple[int, int]]:
    """Return the first and the last character of each block of some scripts."""
    ends = [*_CODES[1:], sys.maxunicode + 1]
    return [(code, end - 1) for (code, script), end in zip(_STARTS, ends, strict=True) if script in scripts]


def script_of(character: str) -> str:
    """Return the script of a letter, or `other` if it has no name here."""
    position = bisect_right(_CODES, ord(character)) - 1
    return _STARTS[position][1] if position >= 0 else "other"


def scripts_of(characters: Mapping[str, int]) -> dict[str, float]:
    """Return the share of each script among letters, the most frequent first.

    Args:
        characters: How often each character occurs in a text. Only letters count.
    """
    counts: Counter[str] = Counter()
    for character, count in characters.items():
        if character.isalpha():
            counts[script_of(character)] += count
    return {script: count / counts.total() for script, count in counts.most_common()}

"""Correct words, and those among them that are near another word."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rnnlm.corpus.texts import lines_of
from rnnlm.errors import DataError
from rnnlm.inference.texts import words_of

_FREQUENCY = re.compile(r"(\S+)\s+(\d+)")


@dataclass(frozen=True)
class Near:
    """A word that is near another one.

    Attributes:
        word: The word, in lower case.
        distance: The number of edits between them.
        rank: Its place among the words. The most frequent word has 0.
    """

    word: str
    distance: int
    rank: int


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Words in lower case, each once, the most frequent first.

    Attributes:
        ranks: The place of each word.
    """

    ranks: dict[str, int] = field(repr=False)
    # For each length in characters: the places of the words, and their characters (words, length).
    _by_length: dict[int, tuple[np.ndarray, np.ndarray]] = field(repr=False)

    @classmethod
    def of(cls, words: Iterable[str]) -> "Lexicon":
        """Make a lexicon of words, the most frequent first. Words that do not begin with a letter are left out."""
        distinct = dict.fromkeys(plain(word) for word in words if word[:1].isalpha())
        ranks = {word: rank for rank, word in enumerate(distinct)}
        lengths: dict[int, list[str]] = {}
        for word in ranks:
            lengths.setdefault(len(word), []).append(word)
        by_length = {
            length: (np.array([ranks[word] for word in same]), _code_points("".join(same)).reshape(-1, length))
            for length, same in lengths.items()
        }
        return cls(ranks, by_length)

    @classmethod
    def read(cls, file: Path) -> "Lexicon":
        """Read a list of words, one per line with or without its frequency, or any text, whose words are counted.

        Raises:
            DataError: If it is not text in UTF-8 (or UTF-16 with its mark), or has no word.
        """
        counts: Counter[str] = Counter()
        try:
            for line in lines_of(file):
                if listed := _FREQUENCY.fullmatch(line.strip()):
                    counts[plain(listed[1])] += int(listed[2])
                else:
                    counts.update(plain(word) for word, _ in words_of(line))
        except DataError as error:
            raise DataError(error.problem, where=error.where, remedy="Use a text in UTF-8.") from error
        if not counts:
            raise DataError("has no word", where=str(file), remedy="Use a text, or a list of words, one per line.")
        return cls.of(word for word, _ in counts.most_common())

    def near(self, word: str, distance: int) -> list[Near]:
        """Return the words within this number of edits, the nearest first, then the most frequent.

        An edit inserts, deletes or changes a character, or swaps two neighbours (Damerau 1964). A word of which nothing
        would be left is not near. All words of a length are compared at the same time.

        Args:
            word: Any word. Case does not matter.
            distance: 1 or 2.
        """
        letters, words, found = _code_points(plain(word)), list(self.ranks), []
        for length in range(max(1, len(letters) - distance), len(letters) + distance + 1):
            if length not in self._by_length:
                continue
            places, others = self._by_length[length]
            distances = edit_distances(letters, others, distance)
            chosen = np.flatnonzero(distances < min(distance + 1, max(len(letters), length)))
            found += [Near(words[places[n]], int(distances[n]), int(places[n])) for n in chosen]
        return sorted(found, key=lambda near: (near.distance, near.rank))


def plain(word: str) -> str:
    """Return the form of a word that is compared: composed, and in lower case."""
    return unicodedata.normalize("NFC", word).lower()


def edit_distances(word: np.ndarray, others: np.ndarray, most: int) -> np.ndarray:
    """Return the Damerau-Levenshtein distance of a word to others of one length.

    Args:
        word: (characters,) code points.
        others: (words, length) code points.
        most: Only distances up to this, 1 or 2, are exact. Larger distances have this value plus one.

    Returns:
        (words,) distances.
    """
    rows, columns, far = len(word), others.shape[1], most + 1
    table = np.full((rows + 1, columns + 1, len(others)), far, np.int8)
    same = np.equal.outer(word, others.T)  # (characters, length, words)
    for i in range(rows + 1):
        # No path farther from the diagonal is short enough.
        for j in range(max(0, i - most), min(columns, i + most) + 1):
            if not i or not j:
                table[i, j] = i + j
                continue
            ways = [table[i - 1, j - 1] + ~same[i - 1, j - 1], table[i - 1, j] + 1, table[i, j - 1] + 1]
            # Two swapped characters. For one more edit, a character between them was deleted or inserted.
            for back, across in ((2, 2), (3, 2), (2, 3)) if most > 1 else ((2, 2),):
                if i >= back and j >= across:
                    swapped = same[i - 1, j - across] & same[i - back, j - 1]
                    ways.append(np.where(swapped, table[i - back, j - across] + (back + across - 3), far))
            table[i, j] = np.minimum(np.min(ways, axis=0), far)
    return np.asarray(table[rows, columns])


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)

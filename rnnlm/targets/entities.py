"""Entities in tags, and how many of them are found: counted as the evaluation of CoNLL 2000 to 2003 counts them."""

from typing import NamedTuple

import numpy as np


class Entities(NamedTuple):
    """Entities of documents, whose words are in one row.

    Attributes:
        begins: (words,) whether an entity begins with this word.
        ends: (words,) the place behind the last word of the entity that begins here; 0 where none does.
        types: (words,) the type of the entity that begins here; 0 where none does.
    """

    begins: np.ndarray
    ends: np.ndarray
    types: np.ndarray


def entities(tags: np.ndarray, lengths: np.ndarray) -> Entities:
    """Find the entities in tags.

    An entity is a run of words of one type, which a tag that begins one parts. A tag that goes on with an entity where
    there is none begins one, as conlleval (Tjong Kim Sang & De Meulder 2003) has it.

    Args:
        tags: (words,) indices of the tags of all documents, one after the other: 0 is outside, odd ones begin an entity
            and even ones go on with it; two neighbours are one type.
        lengths: (documents,) number of words of each.
    """
    types = (tags.astype(np.int64) + 1) // 2
    first = np.zeros(len(tags), bool)
    starts = np.cumsum(lengths) - lengths
    first[starts[lengths > 0]] = True
    before = np.concatenate(([0], types[:-1]))[: len(types)]
    begins = (types > 0) & (first | (tags % 2 == 1) | (types != before))
    # Behind an entity comes what is outside, what begins another one, or another document.
    stops = np.append(np.flatnonzero(begins | first | (types == 0)), len(tags))
    ends = np.zeros(len(tags), np.int64)
    places = np.flatnonzero(begins)
    ends[places] = stops[np.searchsorted(stops, places, side="right")]
    return Entities(begins, ends, np.where(begins, types, 0))


class Found(NamedTuple):
    """Entities of each document, (documents,) each.

    Attributes:
        right: Those that were found, with their words and their type.
        said: Those that were said.
        true: Those that there are.
    """

    right: np.ndarray
    said: np.ndarray
    true: np.ndarray

    @property
    def f1(self) -> float:
        """F1 over all entities: the harmonic mean of precision and recall."""
        return _share(2 * int(self.right.sum()), int(self.said.sum() + self.true.sum()))

    @property
    def precision(self) -> float:
        """Share of what was said that is right."""
        return _share(int(self.right.sum()), int(self.said.sum()))

    @property
    def recall(self) -> float:
        """Share of what there is that was found."""
        return _share(int(self.right.sum()), int(self.true.sum()))

    def f1_by_document(self) -> np.ndarray:
        """Return a value for each document, (documents,), whose mean is F1 over all entities.

        F1 = sum of n_i / sum of d_i is a ratio, with n_i = 2 right and d_i = said + true of each document. The mean of
        F1 + (n_i - F1 d_i) / mean(d) is F1, and its sampling error over documents is that of the ratio to the first
        order (linearisation; Cochran 1977, section 2.11; the infinitesimal jackknife). So whatever compares the means
        of documents, compares F1.
        """
        doubled, of = 2.0 * self.right, (self.said + self.true).astype(np.float64)
        if not of.sum():
            return np.zeros(len(of))
        return np.asarray(self.f1 + (doubled - self.f1 * of) / of.mean())


def found(said: np.ndarray, true: np.ndarray, lengths: np.ndarray) -> Found:
    """Count entities by document.

    Args:
        said: (words,) the tags that were said, as `entities` takes them.
        true: (words,) the true tags.
        lengths: (documents,) number of words of each.
    """
    one, other = entities(said, lengths), entities(true, lengths)
    right = one.begins & other.begins & (one.ends == other.ends) & (one.types == other.types)
    document = np.repeat(np.arange(len(lengths)), lengths)
    return Found(*(np.bincount(document[where], minlength=len(lengths)) for where in (right, one.begins, other.begins)))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

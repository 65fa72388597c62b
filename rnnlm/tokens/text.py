"""A text as every model reads it: encoded documents, together with their vocabulary."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

NO_LABEL = -1
COUNTED_AT_ONCE = 10_000_000  # NumPy counts in 64-bit integers: 80 MB at once

Tokens = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Vocabulary:
    """How many tokens there are, and which of them are special.

    Attributes:
        size: Number of tokens, special tokens included.
        eos: The token that ends a document.
        unk: The unknown token.
        bos: The token that begins a document: it is given, never predicted. If None, the documents are running text,
            one stream that a model reads through.
    """

    size: int
    eos: int
    unk: int
    bos: int | None


class Ids(Protocol):
    """Token ids that are indexed as one flat array, wherever they are: in memory, mapped, or in several files."""

    @property
    def dtype(self) -> Any:
        """Their type: the smallest unsigned integers that hold the vocabulary."""

    def __len__(self) -> int: ...

    def __getitem__(self, places: Any, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class Text:
    """Documents as one flat array of ids; `ids[offsets[i]:offsets[i + 1]]` is document i.

    Attributes:
        vocabulary: The vocabulary of the ids, with its special tokens.
        ids: Token ids of all documents, in the smallest unsigned integer type of the vocabulary. Only this room
            indexes them; others call `at`, `read` and `document`.
        offsets: Where each document begins, and the end of the last: one more than there are documents.
        labels: Class index of each document, -1 if it has no label; or the number of each, NaN if it has none; or the
            tags of the words of each as an array of indices, None if it has none.
        n_characters: Characters of each document's text.
        n_bytes: Its bytes in UTF-8.
        n_words: Its words, separated by white space.
        document_ids: The id that each document got when it was ingested.
        words: Where a model has read each word of a document, as an array of places among its tokens; None if the words
            have no tags.
    """

    vocabulary: Vocabulary
    ids: Ids
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int16] | npt.NDArray[np.float64] | npt.NDArray[np.object_]
    n_characters: npt.NDArray[np.int64]
    n_bytes: npt.NDArray[np.int64]
    n_words: npt.NDArray[np.int64]
    document_ids: npt.NDArray[np.object_]
    words: npt.NDArray[np.object_] | None = None

    @staticmethod
    def of(
        texts: Sequence[str],
        encoded: Sequence[npt.ArrayLike],
        vocabulary: Vocabulary,
        words: Sequence[npt.NDArray[np.int32]] | None = None,
    ) -> "Text":
        """Return texts in memory, without labels; their ids are their places.

        Args:
            texts: The texts.
            encoded: The tokens of each.
            vocabulary: The vocabulary of the tokens.
            words: Where a model has read each word, if words are to be tagged.
        """
        dtype = np.min_scalar_type(vocabulary.size - 1)
        ids = [np.asarray(tokens, dtype) for tokens in encoded]
        return Text(
            vocabulary=vocabulary,
            ids=np.concatenate([np.zeros(0, dtype), *ids]),
            offsets=np.cumsum([0, *map(len, ids)], dtype=np.int64),
            labels=np.full(len(texts), NO_LABEL, np.int16),
            n_characters=np.array([len(text) for text in texts], np.int64),
            n_bytes=np.array([len(text.encode()) for text in texts], np.int64),
            n_words=np.array([len(text.split()) for text in texts], np.int64),
            document_ids=np.array([str(place) for place in range(len(texts))], object),
            words=None if words is None else listed(words),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_running(self) -> bool:
        """Whether it is running text: one stream that a model reads through, in its order."""
        return self.vocabulary.bos is None

    @property
    def n_tokens(self) -> int:
        """Number of tokens of all documents."""
        return len(self.ids)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each document."""
        return np.diff(self.offsets)

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where each document begins."""
        return self.offsets[:-1]

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """Where each document ends."""
        return self.offsets[1:]

    @functools.cached_property
    def first_words(self) -> npt.NDArray[np.int64]:
        """The place of each document's first word among the words of all documents, and the number of them all."""
        return np.cumsum([0, *map(len, [] if self.words is None else self.words)], dtype=np.int64)

    @property
    def n_rows(self) -> int:
        """Number of answers of a model of the target task: one a document, or one a word where words have tags."""
        return len(self) if self.words is None else int(self.first_words[-1])

    @property
    def predicted(self) -> npt.NDArray[np.bool_]:
        """Which tokens a model predicts, (tokens,): all but those that begin a document, which are given."""
        if self.vocabulary.bos is None:
            return np.ones(self.n_tokens, bool)
        return np.asarray(self.read() != self.vocabulary.bos)

    @property
    def n_predicted(self) -> npt.NDArray[np.int64]:
        """How many tokens of each document a model predicts."""
        return self.lengths if self.is_running else self.lengths - 1

    def document(self, index: int) -> Tokens:
        """Return the ids of one document."""
        index = range(len(self))[index]
        return self.read(self.offsets[index], self.offsets[index + 1])

    def read(self, start: int | np.int64 = 0, end: int | np.int64 | None = None) -> Tokens:
        """Return the ids from one place to another; without places, all."""
        return np.asarray(self.ids[start:end])

    def at(self, places: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int32]:
        """Return the ids at these places, in the shape of the places and as models take them."""
        return np.asarray(self.ids[places], np.int32)

    def counts(self) -> npt.NDArray[np.int64]:
        """Return how often each token of the vocabulary is in the documents."""
        total = np.zeros(self.vocabulary.size, np.int64)
        for start in range(0, self.n_tokens, COUNTED_AT_ONCE):
            total += np.bincount(self.read(start, start + COUNTED_AT_ONCE), minlength=self.vocabulary.size)
        return total

    def take(self, indices: npt.ArrayLike) -> "Text":
        """Return the documents at these places, in this order; a place may come twice."""
        places = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[places]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        shift = self.starts[places] - offsets[:-1]
        return Text(
            vocabulary=self.vocabulary,
            ids=self.ids[np.arange(offsets[-1]) + np.repeat(shift, lengths)],
            offsets=offsets,
            labels=self.labels[places],
            n_characters=self.n_characters[places],
            n_bytes=self.n_bytes[places],
            n_words=self.n_words[places],
            document_ids=self.document_ids[places],
            words=None if self.words is None else self.words[places],
        )

    def followed_by(self, other: "Text") -> "Text":
        """Return these documents, and then those of another text over the same vocabulary."""
        return Text(
            vocabulary=self.vocabulary,
            ids=np.concatenate([self.read(), other.read()]),
            offsets=np.concatenate([self.offsets, self.n_tokens + other.ends]),
            labels=np.concatenate([self.labels, other.labels]),
            n_characters=np.concatenate([self.n_characters, other.n_characters]),
            n_bytes=np.concatenate([self.n_bytes, other.n_bytes]),
            n_words=np.concatenate([self.n_words, other.n_words]),
            document_ids=np.concatenate([self.document_ids, other.document_ids]),
            words=None if self.words is None or other.words is None else np.concatenate([self.words, other.words]),
        )

    def labelled(self) -> "Text":
        """Return the documents that have a label."""
        return self.take(np.flatnonzero(has_label(self.labels)))


def has_label(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which documents have a label, of class indices, numbers or tags."""
    if labels.dtype == object:
        return np.array([tags is not None for tags in labels], bool)
    return np.asarray(labels != NO_LABEL if labels.dtype.kind == "i" else ~np.isnan(labels))


def flat(arrays: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what there is of all documents, one after the other: an array each, or a single value each."""
    if arrays.dtype != object:
        return arrays
    return np.concatenate(list(arrays)) if len(arrays) else np.zeros(0, np.int64)


def listed(arrays: Sequence[npt.NDArray[Any] | None]) -> npt.NDArray[np.object_]:
    """Return arrays of any lengths as an array of them: (documents,)."""
    found = np.empty(len(arrays), object)
    found[:] = list(arrays)
    return found

"""From encoded documents to the arrays of a training step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnlm.tokens import Text

# Padded lengths are multiples of it: few shapes of products, for each of which the library makes a kernel.
TIMES = 8


@dataclass(frozen=True)
class Window:
    """A window of the token stream, time-major.

    Attributes:
        tokens: (time, batch) token ids.
        targets: (time, batch) the token after each.
        weights: (time, batch) 1 where the target counts; 0 for `<bos>`, which is given, and behind the end.
        keep: (time, batch, 1), 0 where a document begins and the state is reset, 1 elsewhere.
    """

    tokens: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    keep: np.ndarray


def row_length(tokens: int, batch: int) -> int:
    """Return the time steps of each of `batch` rows that a stream of tokens is cut into."""
    return (tokens - 1) // batch


def windows(text: Text, order: np.ndarray, batch: int, lengths: np.ndarray, skipped: int = 0) -> Iterator[Window]:
    """Cut a stream of documents into `batch` rows that are read side by side, window after window.

    Each token is the target once, but for fewer than `batch` at the end of the stream. The last window is filled up
    with targets that do not count, so that windows have no other lengths than those given. Tokens are looked up
    window by window: the ids may be memory-mapped and larger than the memory.

    Args:
        text: The documents; through running text the state is carried.
        order: Their order in the stream.
        batch: Number of rows.
        lengths: Time steps of each window.
        skipped: Windows at the beginning that are passed over.
    """
    begins = np.concatenate(([0], np.cumsum(text.lengths[order])))  # where each document begins in the stream
    shift = text.starts[order] - begins[:-1]
    length = row_length(int(begins[-1]), batch)
    rows = np.arange(batch) * length
    start, bos = int(lengths[:skipped].sum()), text.vocabulary.bos
    for steps in lengths[skipped:]:
        time = np.minimum(np.arange(start, start + steps + 1), length)
        places = rows[None, :] + time[:, None]
        ids = text.at(places + shift[np.searchsorted(begins, places, side="right") - 1])
        x, y = ids[:-1], ids[1:]
        inside = np.arange(start, start + steps)[:, None] < length
        counted = inside if bos is None else inside & (y != bos)
        keep = np.ones(x.shape, bool) if bos is None else x != bos
        yield Window(
            x,
            y,
            np.broadcast_to(counted, x.shape).astype(np.float32),
            keep[:, :, None].astype(np.float32),
        )
        start += int(steps)


@dataclass(frozen=True)
class Batch:
    """Padded documents, time-major.

    Attributes:
        tokens: (time, batch) token ids, padded behind with zeros.
        lengths: (batch,) true lengths.
        documents: (batch,) which documents they are.
        words: (words, 2) where their words are: the time and the document; None if the words have no tags.
        rows: Which answers of a model these are: (batch,) of the documents, or (words,) of the words, by their places
            among those of all documents.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    documents: np.ndarray
    words: np.ndarray | None
    rows: np.ndarray

    @property
    def inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """What a model of a target task takes."""
        return self.tokens, self.lengths if self.words is None else self.words


def pad(documents: Text, chosen: np.ndarray, max_tokens: int) -> Batch:
    """Make a batch of the chosen documents; of one longer than `max_tokens` the end is read.

    Where words have tags, documents are read whole.
    """
    lengths = documents.lengths[chosen].astype(np.int32)
    if documents.words is None:
        lengths = np.minimum(lengths, max_tokens)
    time = np.arange(_padded(lengths.max()))
    starts = documents.ends[chosen] - lengths
    inside = time[:, None] < lengths[None, :]
    tokens = documents.at(np.where(inside, starts[None, :] + time[:, None], 0))
    words, rows = (None, chosen) if documents.words is None else _words_of(documents, chosen)
    return Batch(np.where(inside, tokens, 0), lengths, chosen, words, rows)


def _words_of(documents: Text, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the words of the chosen documents are in a batch, and among those of all documents."""
    assert documents.words is not None
    times = [documents.words[one] for one in chosen]
    counts = np.array([len(one) for one in times])
    columns = np.repeat(np.arange(len(chosen)), counts)
    first = documents.first_words[chosen]
    rows = np.concatenate([np.arange(begin, begin + count) for begin, count in zip(first, counts, strict=True)])
    return np.stack([np.concatenate(times), columns], axis=1).astype(np.int32), rows


def _padded(lengths: Any) -> Any:
    return -(-lengths // TIMES) * TIMES


def batch_count(documents: int, batch: int) -> int:
    """Return the number of training batches of an epoch; a rest of one document joins another batch."""
    return max(1, documents // batch + (documents % batch > 1))


def shuffled_batches(
    documents: Text, batch: int, max_tokens: int, generator: np.random.Generator, skipped: int = 0
) -> Iterator[Batch]:
    """Yield every document once, in random batches of documents of about the same length.

    The order is random; within 20 batches' worth it is sorted by length, so that little is padded, and the batches
    are shuffled again. A rest too small for batch statistics (one document) joins the batch before it.

    Args:
        documents: The documents.
        batch: Documents of a batch.
        max_tokens: Tokens of a document at most.
        generator: Draws the order.
        skipped: Batches at the beginning that are passed over.
    """
    order = generator.permutation(len(documents))
    pool = 20 * batch
    batches = []
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        part = part[np.argsort(documents.lengths[part], kind="stable")]
        batches += np.split(part, range(batch, len(part), batch))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [np.concatenate(batches[-2:])]
    for n in generator.permutation(len(batches))[skipped:]:
        yield pad(documents, batches[n], max_tokens)


def sorted_batches(documents: Text, tokens: int, max_tokens: int) -> Iterator[Batch]:
    """Yield every document once, shortest first, for evaluation.

    Args:
        documents: The documents.
        tokens: Tokens of a batch at most, padding included, where it holds more than one document.
        max_tokens: Tokens of a document at most.
    """
    order = np.argsort(documents.lengths, kind="stable")
    lengths = documents.lengths[order]
    lengths = _padded(np.minimum(lengths, max_tokens) if documents.words is None else lengths)
    start = 0
    while start < len(order):
        # The last document of a batch is its longest, and so sets the width of all.
        sizes = lengths[start:] * np.arange(1, len(order) - start + 1)
        end = start + max(1, int(np.searchsorted(sizes, tokens, side="right")))
        yield pad(documents, order[start:end], max_tokens)
        start = end

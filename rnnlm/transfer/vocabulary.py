"""From the source's vocabulary to the target's: w_t = w_s + T(w_s).

Each target word climbs a ladder, and the first rung that takes it gives it its row of the embedding, to which the
softmax is tied. Words that both vocabularies know keep the source's row; what the others start from is the word map's
choice.
"""

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rnnlm.model.adaptive import group_starts
from rnnlm.model.checkpoint import Weights
from rnnlm.settings import WordMap
from rnnlm.tokens import TextTokenizer
from rnnlm.tokens.kinds import UNK
from rnnlm.transfer.word_space import Floats, Ids, WordSpace, linear_map, nearest_mean

EMBEDDING, BIAS = "embedding/embeddings", "softmax_bias"
# What an adaptive softmax has for each group of rare tokens.
BY_GROUP = ("softmax_tombstones", "softmax_tombstone_bias")

Rung = Literal["exact", "normalised", "neighbours", "linear", "pieces", "mean"]
LADDERS: dict[WordMap, tuple[Rung, ...]] = {
    "exact": ("exact", "mean"),
    "pieces": ("exact", "normalised", "pieces", "mean"),
    "neighbours": ("exact", "normalised", "neighbours", "pieces", "mean"),
    "linear": ("exact", "normalised", "linear", "pieces", "mean"),
}


@dataclass(frozen=True)
class Coverage:
    """How much of the target's vocabulary, and of its training text, each rung took.

    Attributes:
        types: Number of types by rung, in the ladder's order.
        tokens: Number of training tokens by rung.
    """

    types: dict[Rung, int]
    tokens: dict[Rung, int]

    def metrics(self) -> dict[str, float]:
        """Return the numbers as metrics: `coverage/exact_types`, `coverage/exact_tokens` and so on."""
        found = {}
        for rung in self.types:
            found[f"coverage/{rung}_types"] = float(self.types[rung])
            found[f"coverage/{rung}_tokens"] = float(self.tokens[rung])
        return found


def needs_space(word_map: WordMap) -> bool:
    """Return whether a word map needs vectors of the target's words."""
    return not {"neighbours", "linear"}.isdisjoint(LADDERS[word_map])


def map_vocabulary(
    weights: Weights,
    source: TextTokenizer,
    target: TextTokenizer,
    counts: Ids,
    word_map: WordMap,
    space: WordSpace | None = None,
) -> tuple[Weights, Coverage]:
    """Return the weights of a model over the target's vocabulary.

    The rungs:

    - exact: the source has a token for the same text; its row and its softmax bias are copied.
    - normalised: the same but for case, Unicode's compatibility forms and, if need be, accents; copied too.
    - neighbours: the weighted mean of the nearest shared words' rows (FOCUS: Dobler & de Melo 2023).
    - linear: what the linear map gives that fits the shared words.
    - pieces: the mean of the rows of the source's pieces of the word (Mosin et al. 2021; FVT: Gee et al. 2022).
    - mean: the mean of all rows. It is close to all and predicts nothing by itself, while small random rows could draw
      all the probability (Hewitt 2021).

    The bias of a new word is its log-frequency in the target's text, on the scale of the shared words' biases. The
    groups of an adaptive softmax are bands of frequency: each keeps its own tombstone, though not all of its tokens.

    Args:
        weights: Weights of the source model, by name.
        source: The source's tokenizer.
        target: The target's tokenizer.
        counts: (target tokens,) how often each occurs in the target's training text.
        word_map: The ladder.
        space: Vectors of the target's words; without them their rungs take no word.

    Returns:
        The weights, those by token in the order of the target's vocabulary, and the coverage.
    """
    old = weights[EMBEDDING]
    meeting = _Meeting(source, target, old, np.full(target.size, -1), space)
    rows, rung_of = np.empty((target.size, old.shape[1]), old.dtype), np.full(target.size, -1)
    for place, rung in enumerate(LADDERS[word_map]):
        taken, rows_taken = _RUNGS[rung](meeting, np.flatnonzero(rung_of < 0))
        rows[taken], rung_of[taken] = rows_taken, place
    result = weights | {EMBEDDING: rows}
    if BIAS in weights:
        result[BIAS] = _biases(weights[BIAS], meeting.copied, counts)
    groups = len(group_starts(target.size))
    for name in BY_GROUP:
        if name in result:
            stones = result.pop(name)
            # A band that the source lacks is the next rarer one than its last.
            if groups:
                result[name] = stones[np.minimum(np.arange(groups), len(stones) - 1)]
    took = {rung: rung_of == place for place, rung in enumerate(LADDERS[word_map])}
    types = {rung: int(ids.sum()) for rung, ids in took.items()}
    return result, Coverage(types, {rung: int(counts[ids].sum()) for rung, ids in took.items()})


@dataclass(frozen=True, eq=False)
class _Meeting:
    """What the rungs go by.

    Attributes:
        source: The source's tokenizer.
        target: The target's tokenizer.
        embeddings: (source tokens, width) the source's rows.
        copied: (target tokens,) the source token whose row each has; -1: none. The upper rungs write it.
        space: Vectors of the target's words.
    """

    source: TextTokenizer
    target: TextTokenizer
    embeddings: np.ndarray
    copied: Ids
    space: WordSpace | None


# The ids that a rung takes of those that are left, and their rows.
_Taken = tuple[Ids, npt.ArrayLike]


def _exact(meeting: _Meeting, left: Ids) -> _Taken:
    return _copy(meeting, left, lambda text: text)


def _normalised(meeting: _Meeting, left: Ids) -> _Taken:
    with_accents, _ = _copy(meeting, left, _fold)
    _copy(meeting, np.setdiff1d(left, with_accents), lambda text: _without_accents(_fold(text)))
    taken = left[meeting.copied[left] >= 0]
    return taken, meeting.embeddings[meeting.copied[taken]]


def _copy(meeting: _Meeting, left: Ids, key: Callable[[str], str]) -> _Taken:
    """Take the words whose key a source token has; of several the most frequent one, which has the lowest id."""
    source, target = (list(_keys(tokenizer, key)) for tokenizer in (meeting.source, meeting.target))
    places = {text: i for i, text in reversed(list(enumerate(source)))}
    if meeting.source.knows_all and not meeting.target.knows_all:
        # The source never met its <unk>: all that it learnt of it is that it does not come.
        del places[False, UNK]
    meeting.copied[left] = [places.get(target[i], -1) for i in left]
    taken = left[meeting.copied[left] >= 0]
    return taken, meeting.embeddings[meeting.copied[taken]]


def _keys(tokenizer: TextTokenizer, key: Callable[[str], str]) -> Iterable[tuple[bool, str]]:
    """Yield what the tokens are found by: the key of their text, or the token itself if it has none."""
    for token, text in zip(tokenizer.tokens, tokenizer.surfaces, strict=True):
        yield (False, token) if text is None else (True, key(text))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _pieces(meeting: _Meeting, left: Ids) -> _Taken:
    source, surfaces = meeting.source, meeting.target.surfaces
    ids = [i for i in left if surfaces[i]]
    taken, rows = [], []
    for i, encoded in zip(ids, source.encode([surfaces[i] or "" for i in ids]), strict=True):
        pieces = [piece for piece in encoded if piece not in (source.bos, source.eos)]
        # A single space is no part of the word, where there is more.
        pieces = [piece for piece in pieces if (source.surfaces[piece] or "?").strip()] or pieces
        if pieces and source.unk not in pieces:
            taken.append(i)
            rows.append(meeting.embeddings[pieces].mean(axis=0, dtype=np.float64))
    return np.array(taken, np.int64), np.reshape(rows, (len(taken), meeting.embeddings.shape[1]))


def _in_space(make: Callable[[Floats, Floats, Floats], Floats]) -> "Callable[[_Meeting, Ids], _Taken]":
    """Return the rung that makes rows from vectors and rows of the shared words and from vectors of the new ones."""

    def take(meeting: _Meeting, left: Ids) -> _Taken:
        if meeting.space is None:
            return left[:0], meeting.embeddings[:0]
        words = np.array([text is not None for text in meeting.target.surfaces])
        (shared, known), (new, unknown) = (
            meeting.space.of(ids) for ids in (np.flatnonzero(words & (meeting.copied >= 0)), left)
        )
        # From a single word no map can be learnt, and there is no choice of neighbours.
        if len(shared) < 2 or not len(new):
            return new[:0], meeting.embeddings[:0]
        return new, make(known, meeting.embeddings[meeting.copied[shared]].astype(np.float64), unknown)

    return take


def _mean(meeting: _Meeting, left: Ids) -> _Taken:
    return left, meeting.embeddings.mean(axis=0, dtype=np.float64)


_RUNGS: dict[Rung, Callable[[_Meeting, Ids], _Taken]] = {
    "exact": _exact,
    "normalised": _normalised,
    "neighbours": _in_space(nearest_mean),
    "linear": _in_space(linear_map),
    "pieces": _pieces,
    "mean": _mean,
}


def _biases(old: np.ndarray, copied: Ids, counts: Ids) -> np.ndarray:
    """Copy the biases of shared words; new ones get their log-frequency, shifted as those of the shared words are."""
    # One is added to each count, as for the bias of a new model.
    frequency = np.log((counts + 1.0) / (counts + 1.0).sum())
    shared = copied >= 0
    shift = (old[copied[shared]] - frequency[shared]).mean() if shared.any() else 0.0
    new: np.ndarray = (frequency + shift).astype(old.dtype)
    new[shared] = old[copied[shared]]
    return new

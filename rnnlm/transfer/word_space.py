"""Word vectors of the target's own text, and what they tell of words that the source does not know.

The vectors are positive pointwise mutual information of words and the words around them, reduced by a singular value
decomposition. Counted well, they are as good as trained ones (Levy, Goldberg & Dagan 2015), they need no training, and
the same text gives the same vectors.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import RidgeCV
from sklearn.utils.extmath import randomized_svd

from rnnlm.tokens import Text

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

# A rarer word's neighbours are chance.
LEAST_COUNT = 5
WINDOW = 5  # words on either side
DIMENSIONS = 128
# The most frequent words are counted as neighbours, in the first training tokens: both limits bound the memory.
CONTEXTS = 20_000
TOKENS = 20_000_000
TOKENS_AT_ONCE = 1_000_000
# Exponent on the neighbours' frequency, or rare ones would weigh too much (Levy, Goldberg & Dagan 2015).
SMOOTHING = 0.75
# Shared words that may share in a new word's row; similarities that are computed at once.
NEAREST = 256
WORDS_AT_ONCE = 1_024
PENALTIES = np.logspace(-4, 4, 17)


@dataclass(frozen=True, eq=False)
class WordSpace:
    """Vectors of those words that are frequent enough.

    Attributes:
        ids: (words,) token ids, ascending.
        vectors: (words, dimensions), each of length 1.
    """

    ids: Ids
    vectors: Floats

    def of(self, ids: Ids) -> tuple[Ids, Floats]:
        """Return those of these ids (ascending) that have a vector, and their vectors."""
        found, _, places = np.intersect1d(ids, self.ids, assume_unique=True, return_indices=True)
        return found, self.vectors[places]


def word_space(train: Text) -> WordSpace:
    """Learn the vectors of the words that are at least five times in a text."""
    counts, size = train.counts(), train.vocabulary.size
    words = np.flatnonzero(counts >= LEAST_COUNT)
    contexts = np.sort(words[np.argsort(-counts[words], kind="stable")[:CONTEXTS]])
    pairs = _pairs(train, _places(words, size), _places(contexts, size), (len(words), len(contexts)))
    information = _positive_information(pairs)
    if not information.nnz:
        return WordSpace(words[:0], np.zeros((0, DIMENSIONS)))
    left, strength, _ = randomized_svd(information, min(DIMENSIONS, *information.shape), random_state=0)
    vectors = left * np.sqrt(strength)
    length = np.linalg.norm(vectors, axis=1)
    placed = length > 1e-9
    return WordSpace(words[placed], vectors[placed] / length[placed, None])


def nearest_mean(shared: Floats, rows: Floats, new: Floats) -> Floats:
    """Set each new word to the mean of the shared words' rows, weighted by sparsemax of the cosines (FOCUS).

    So near words count, and most count nothing (Dobler & de Melo 2023; Martins & Astudillo 2016).

    Args:
        shared: (shared, dimensions) vectors of the shared words, of length 1.
        rows: (shared, width) their rows in the source's embedding.
        new: (new, dimensions) vectors of the new words, of length 1.

    Returns:
        (new, width) rows.
    """
    found = np.empty((len(new), rows.shape[1]))
    nearest = min(NEAREST, len(shared))
    for start in range(0, len(new), WORDS_AT_ONCE):
        cosines = new[start : start + WORDS_AT_ONCE] @ shared.T
        places = np.argsort(-cosines, axis=1, kind="stable")[:, :nearest]
        weights = sparsemax(np.take_along_axis(cosines, places, 1))
        for n, (weight, place) in enumerate(zip(weights, places, strict=True), start):
            found[n] = weight @ rows[place]
    return found


def sparsemax(scores: Floats) -> Floats:
    """Return the nearest point of the simplex to each row of scores, which go from high to low."""
    sums = np.cumsum(scores, axis=1)
    ranks = np.arange(1, scores.shape[1] + 1)
    support = (1.0 + ranks * scores > sums).sum(axis=1, keepdims=True)
    threshold = (np.take_along_axis(sums, support - 1, 1) - 1.0) / support
    nearest: Floats = np.maximum(scores - threshold, 0.0)
    return nearest


def linear_map(shared: Floats, rows: Floats, new: Floats) -> Floats:
    """Map the vectors of new words to rows by the linear map that fits the shared words best (ridge regression).

    Leaving one word out at a time chooses the penalty: the less the two spaces agree, the nearer the rows are to the
    mean. Arguments and result are those of `nearest_mean`.
    """
    return np.asarray(RidgeCV(PENALTIES).fit(shared, rows).predict(new), np.float64)


def _places(ids: Ids, size: int) -> Ids:
    """Return each token's place among these ids, -1 for none."""
    places = np.full(size, -1)
    places[ids] = np.arange(len(ids))
    return places


def _pairs(train: Text, rows: Ids, columns: Ids, shape: tuple[int, int]) -> sparse.csr_array:
    """Count how often each word is near each neighbour, inside a document."""
    total = sparse.csr_array(shape, dtype=np.float64)
    for ids, document in _parts(train):
        for distance in range(1, WINDOW + 1):
            together = document[distance:] == document[:-distance]
            first, second = ids[:-distance][together], ids[distance:][together]
            for word, neighbour in ((first, second), (second, first)):
                row, column = rows[word], columns[neighbour]
                known = (row >= 0) & (column >= 0)
                found = (np.ones(known.sum()), (row[known], column[known]))
                total += sparse.coo_array(found, shape=shape).tocsr()
    return total


def _parts(train: Text) -> Iterator[tuple[npt.NDArray[np.unsignedinteger], Ids]]:
    """Yield the ids of whole documents, about a million at a time, and the document of each."""
    end = min(train.n_tokens, TOKENS)
    edges = np.searchsorted(train.offsets, [*range(0, end, TOKENS_AT_ONCE), end])
    for first, last in itertools.pairwise(edges):
        document = np.repeat(np.arange(first, last), train.lengths[first:last])
        yield train.read(train.offsets[first], train.offsets[last]), document


def _positive_information(pairs: sparse.csr_array) -> sparse.csr_array:
    """Return max(0, log p(word, neighbour) / (p(word) p(neighbour))), sparse; p(neighbour) is smoothed."""
    of_word, of_neighbour = pairs.sum(axis=1), pairs.sum(axis=0) ** SMOOTHING
    found = pairs.tocoo()
    row, column = found.coords
    expected = of_word[row] * of_neighbour[column] / of_neighbour.sum()
    information = np.maximum(np.log(found.data / expected), 0.0)
    result = sparse.csr_array((information, (row, column)), shape=pairs.shape)
    result.eliminate_zeros()
    return result

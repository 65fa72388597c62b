"""A text is read through one interface: where its ids are makes no difference to those who read it."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rnnlm.evaluation.cache import cache_nll
from rnnlm.evaluation.language_model import score_tokens
from rnnlm.model.language_model import LanguageModel
from rnnlm.ngram import count, kneser_ney
from rnnlm.settings import Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training.batches import shuffled_batches, sorted_batches, windows
from rnnlm.training.dynamic import score_while_learning
from rnnlm.training.fisher import fisher_information
from rnnlm.transfer.word_space import word_space

SIZE = 20


class InParts:
    """Ids in several arrays, as the reader of several files has them; it is no array itself."""

    def __init__(self, ids: npt.NDArray[np.uint8], edges: list[int]) -> None:
        self._parts = np.split(ids, edges)
        self._starts = np.array([0, *edges])
        self.dtype = ids.dtype

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __getitem__(self, places: Any, /) -> Any:
        if isinstance(places, slice):
            places = np.arange(*places.indices(len(self)))
        places = np.asarray(places)
        part = np.searchsorted(self._starts, places, side="right") - 1
        found = [self._parts[p][n - self._starts[p]] for p, n in zip(part.ravel(), places.ravel(), strict=True)]
        return np.array(found, self.dtype).reshape(places.shape)


@pytest.fixture(params=[2, None], ids=["documents", "running text"])
def texts(request: pytest.FixtureRequest) -> tuple[Text, Text]:
    """The same text in one array and in parts."""
    generator = np.random.default_rng(0)
    encoded = [[2, *generator.integers(4, SIZE, n).tolist(), 3] for n in generator.integers(1, 30, 12)]
    whole = Text.of(["a b"] * len(encoded), encoded, Vocabulary(SIZE, eos=3, unk=1, bos=request.param))
    parts: Any = InParts(whole.read().astype(np.uint8), [7, 8, 60])
    return whole, dataclasses.replace(whole, ids=parts)


def test_a_text_in_parts_is_the_same_to_every_reader(texts: tuple[Text, Text]) -> None:
    model = LanguageModel(Model(embedding=4, hidden=4), SIZE, seed=1)

    def read(text: Text) -> list[Any]:
        order = np.arange(len(text))[::-1]
        classifier = (shuffled_batches(text, 3, 12, np.random.default_rng(1)), sorted_batches(text, 40, 12))
        return [
            *(
                array
                for w in windows(text, order, 2, np.full(9, 8))
                for array in (w.tokens, w.targets, w.weights, w.keep)
            ),
            *(array for batches in classifier for b in batches for array in (b.tokens, b.lengths, b.documents)),
            *(text.document(n) for n in range(len(text))),
            text.predicted,
            text.counts(),
            text.take([3, 1, 3]).read(),
            kneser_ney(count(text, 3)).score_tokens(text),
            word_space(text).ids,
            score_tokens(model, text),
            cache_nll(model, text, (0.5,)),
            score_while_learning(model, text, 0.1),
            *fisher_information(model, text, seed=1).values(),
        ]

    one, other = (read(text) for text in texts)
    assert len(one) == len(other)
    for found, expected in zip(one, other, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_texts_in_memory_are_counted_and_have_the_smallest_type() -> None:
    text = Text.of(["zwei Wörter", ""], [[2, 5, 6, 3], [2, 3]], Vocabulary(300, eos=3, unk=1, bos=2))
    assert text.ids.dtype == np.uint16
    assert text.offsets.tolist() == [0, 4, 6]
    assert text.n_predicted.tolist() == [3, 1]
    assert (text.n_characters.tolist(), text.n_bytes.tolist(), text.n_words.tolist()) == ([11, 0], [12, 0], [2, 0])
    assert len(Text.of([], [], text.vocabulary)) == 0

"""A model that learns while it is scored: never from what it has not been asked yet."""

from collections.abc import Callable

import numpy as np
import pytest

from rnnlm.evaluation.language_model import score_tokens
from rnnlm.model.checkpoint import get_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import Model
from rnnlm.tokens import Text
from rnnlm.training.dynamic import WINDOW, score_while_learning

BOS, EOS = 2, 3
SOFTMAXES = ("exact", "adaptive")
Encode = Callable[..., Text]


def model(softmax: str = "exact") -> LanguageModel:
    # 4,200 tokens: enough for one group of rare ones.
    settings = Model(embedding=6, hidden=5, softmax="adaptive" if softmax == "adaptive" else "exact")
    return LanguageModel(settings, 4_200 if softmax == "adaptive" else 30, seed=1)


def texts(*lengths: int) -> list[list[int]]:
    generator = np.random.default_rng(4)
    return [[BOS, *generator.integers(4, 30, length).tolist(), EOS] for length in lengths]


@pytest.mark.parametrize("softmax", SOFTMAXES)
@pytest.mark.parametrize("bos", [BOS, None])
def test_with_a_rate_of_zero_it_is_the_plain_score(bos: int | None, softmax: str, encoded: Encode) -> None:
    read, scored = encoded(*texts(70, 1, 31), bos=bos), model(softmax)
    found = score_while_learning(scored, read, 0.0)
    if bos is None:
        # The plain score cuts running text into rows; so many tokens of the first are before any cut.
        plain = score_tokens(scored, read)[: len(read.ids) // 16]
        np.testing.assert_allclose(found[: len(plain)], plain, rtol=1e-5)
        assert (found > 0.0).all()
    else:
        np.testing.assert_allclose(found, score_tokens(scored, read), rtol=1e-5)


@pytest.mark.parametrize("softmax", SOFTMAXES)
def test_it_learns_and_ends_as_it_was(softmax: str, encoded: Encode) -> None:
    (text,) = texts(60)
    read, scored = encoded(*[text] * 12), model(softmax)
    before = get_weights(scored)
    static = score_tokens(scored, read)
    found = score_while_learning(scored, read, 1.0)
    np.testing.assert_allclose(found[: WINDOW + 1], static[: WINDOW + 1], rtol=1e-5)
    of_document = found.reshape(12, -1).sum(axis=1)
    assert of_document[-1] < 0.95 * of_document[0]
    for name, array in get_weights(scored).items():
        np.testing.assert_array_equal(array, before[name])


def test_what_comes_later_changes_nothing(encoded: Encode) -> None:
    first, second = texts(3 * WINDOW, 3 * WINDOW)
    same = 2 * WINDOW + 1  # after <bos>
    scored = model()
    one, other = (score_while_learning(scored, encoded(text), 0.5) for text in (first, [*first[:same], *second[same:]]))
    np.testing.assert_array_equal(one[:same], other[:same])
    assert not np.allclose(one[same:], other[same:])

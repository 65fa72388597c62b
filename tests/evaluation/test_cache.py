"""The continuous cache against its definition, token by token in float64."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from rnnlm.evaluation import cache
from rnnlm.evaluation.cache import _of_segment, cache_nll
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import Model
from rnnlm.tokens import Text

THETAS = (0.0, 0.7)
Encode = Callable[..., Text]


def by_definition(states: np.ndarray, targets: np.ndarray, theta: float, size: int, word: int, t: int) -> float:
    total = of_word = 0.0
    for i in range(max(0, t - size), t):
        weight = math.exp(theta * float(states[t].astype(np.float64) @ states[i].astype(np.float64)))
        total += weight
        of_word += weight * (targets[i] == word)
    return of_word / total if total else 0.0


@pytest.mark.parametrize("size", [5, 100])
def test_it_is_what_its_definition_says(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "BLOCK", 7)
    generator = np.random.default_rng(1)
    states, targets = generator.normal(size=(30, 4)).astype(np.float32), generator.integers(0, 6, 30)
    found = _of_segment(states, targets, THETAS, size)
    for n, theta in enumerate(THETAS):
        expected = [by_definition(states, targets, theta, size, targets[t], t) for t in range(30)]
        np.testing.assert_allclose(np.exp(-found[n]), expected, rtol=1e-5)
        for t in range(1, 30):
            assert sum(by_definition(states, targets, theta, size, w, t) for w in range(6)) == pytest.approx(1.0)
    assert np.isinf(found[:, 0]).all()


def test_great_similarities_do_not_overflow() -> None:
    states = np.full((4, 8), 100.0, np.float32)
    found = _of_segment(states, np.array([1, 1, 2, 1]), (1.0,))
    np.testing.assert_allclose(np.exp(-found[0]), [0.0, 1.0, 0.0, 2 / 3])


@pytest.mark.parametrize("bos", [2, None])
def test_each_document_has_a_cache_of_its_own(bos: int | None, encoded: Encode) -> None:
    generator = np.random.default_rng(3)
    texts = [[2, *generator.integers(4, 20, length).tolist(), 3] for length in (150, 1, 9)]
    model = LanguageModel(Model(embedding=4, hidden=4), 20, seed=1)
    together = encoded(*texts, bos=bos)
    found = cache_nll(model, together, THETAS)
    assert found.shape == (2, len(together.ids))
    if bos is None:
        # 16 rows of running text, each of which begins with an empty cache.
        assert np.isinf(found[:, np.linspace(0, len(together.ids), 17).astype(int)[:-1]]).all()
        return
    starts = together.offsets[:-1]
    assert (found[:, starts] == 0.0).all()
    assert np.isinf(found[:, starts + 1]).all()
    for n, text in enumerate(texts):
        alone = cache_nll(model, encoded(text), THETAS)
        np.testing.assert_allclose(found[:, together.offsets[n] : together.offsets[n + 1]], alone, rtol=1e-4)


def test_long_documents_are_read_one_by_one(encoded: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(6)
    read = encoded(*[[2, *generator.integers(4, 20, length).tolist(), 3] for length in (9, 3, 30, 12)])
    model = LanguageModel(Model(embedding=4, hidden=4), 20, seed=1)
    together = cache_nll(model, read, THETAS)
    monkeypatch.setattr(cache, "MOST_STATES", 4 * 20)
    np.testing.assert_allclose(cache_nll(model, read, THETAS), together, rtol=1e-4)


def test_what_comes_later_changes_nothing(encoded: Encode) -> None:
    text = [2, *np.random.default_rng(5).integers(4, 9, 40).tolist(), 3]
    model = LanguageModel(Model(embedding=4, hidden=4), 20, seed=1)
    before = cache_nll(model, encoded(text), THETAS)
    after = cache_nll(model, encoded([*text[:21], *[15] * 20, 3]), THETAS)
    np.testing.assert_allclose(before[:, :21], after[:, :21], rtol=1e-4)

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import ConfigError
from rnnlm.inference.rescore import best_first, rescore
from rnnlm.inference.score import score
from rnnlm.inference.settings import Rescoring
from rnnlm.inference.trained import Trained

Make = Callable[..., Trained]
HYPOTHESES = ["the film was fine", "the fill was fine", "the film", "一部很好的电影", ""]


@pytest.mark.parametrize("kind", ["word", "bpe", "unigram", "character", "byte", "whitespace"])
def test_totals_are_the_weighted_sums(trained: Make, kind: str) -> None:
    model, scores = trained(kind), [-3.0, -2.5, -9.0, 0.0, -1.0]
    found = rescore(model, HYPOTHESES, Rescoring(scores=scores, weight=0.7, word_bonus=1.5))
    for one, text, own, words in zip(found, HYPOTHESES, scores, [4, 4, 2, 1, 0], strict=True):
        (alone,) = score(model, [text])
        assert (one.text, one.score) == (text, own)
        assert one.log_probability == pytest.approx(-alone.nll, rel=1e-5)
        assert one.total == pytest.approx(own - 0.7 * alone.nll + 1.5 * words, rel=1e-5)
    order = sorted(found, key=lambda one: one.total, reverse=True)
    assert best_first(found) == order
    assert [one.rank for one in order] == [1, 2, 3, 4, 5]


@given(st.lists(st.tuples(st.sampled_from(HYPOTHESES), st.integers(-3, 3)), max_size=8))
def test_without_the_model_the_order_is_that_of_the_scores(trained: Make, given_: list[tuple[str, int]]) -> None:
    texts, scores = [text for text, _ in given_], [float(score) for _, score in given_]
    found = rescore(trained("word"), texts, Rescoring(scores=scores, weight=0.0))
    # Sorting is stable: of equal ones the first is the better.
    assert [one.score for one in best_first(found)] == sorted(scores, reverse=True)
    assert [one.rank for one in found] == [
        1 + sum(other > score or (other == score and before < place) for before, other in enumerate(scores))
        for place, score in enumerate(scores)
    ]


def test_without_scores_the_model_alone_decides(trained: Make) -> None:
    found = rescore(trained("word"), HYPOTHESES, Rescoring())
    assert [one.score for one in found] == [0.0] * 5
    assert best_first(found)[0].log_probability == max(one.log_probability for one in found)
    assert rescore(trained("word"), [], Rescoring()) == []


def test_there_must_be_as_many_scores_as_hypotheses(trained: Make) -> None:
    with pytest.raises(ConfigError, match="scores: 1 scores for 5 hypotheses"):
        rescore(trained("word"), HYPOTHESES, Rescoring(scores=[1.0]))

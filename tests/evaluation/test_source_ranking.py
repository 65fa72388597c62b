"""Which of several sources is said to be the best."""

import dataclasses

import numpy as np
import pytest

from rnnlm.errors import DataError
from rnnlm.evaluation.outlook import Estimate
from rnnlm.evaluation.source_ranking import Estimation, rank_sources
from rnnlm.evaluation.verdict import Interval

OWN = 2.0  # bits per character of the target's own n-grams


def estimation(saved: np.ndarray, outlook: str = "likely", ids: np.ndarray | None = None) -> Estimation:
    """Return what is estimated of a source that saves these bits on documents of a hundred characters."""
    value = float(saved.mean()) / 100
    estimate = Estimate.model_validate(
        {
            "known_types": 0.9,
            "known_tokens": 0.9,
            "own_perplexity": 80.0,
            "source_perplexity": 200.0,
            "mixed_perplexity": 70.0,
            "source_share": 0.2,
            "own_bits": 2.0,
            "saved": Interval(value=value, low=value, high=value),
            "outlook": outlook,
            "order": 5,
        }
    )
    ids = np.arange(len(saved)).astype(str) if ids is None else ids
    return Estimation(estimate, ids, OWN * 100 - saved, np.full(len(saved), 100))


def test_the_best_is_named_with_what_is_not_surely_worse() -> None:
    generator = np.random.default_rng(1)
    of_documents = generator.normal(6.0, 2.0, 500)
    ranking = rank_sources(
        {
            "far": estimation(of_documents - 4.0 + generator.normal(0.0, 1.0, 500)),
            "near": estimation(of_documents),
            "as near": estimation(of_documents - 0.01 + generator.normal(0.0, 1.0, 500)),
        }
    )
    assert ranking.sources[-1].name == "far"
    assert {source.name for source in ranking.sources[:2]} == {"near", "as near"}
    assert ranking.sentence.endswith(f"Whether it is better than {ranking.sources[1].name} is open.")
    behind = ranking.sources[-1].behind
    assert behind is not None
    assert behind.low < 0.04 < behind.high
    assert behind.low > 0.0


def test_equal_sources_are_seldom_called_unequal() -> None:
    """The best of five that are equally good is chosen by chance: it must not be called better for it."""
    generator, wrong, runs = np.random.default_rng(2), 0, 400
    for _ in range(runs):
        found = {str(n): estimation(generator.normal(5.0, 2.0, 100)) for n in range(5)}
        wrong += any(source.behind and source.behind.low > 0.0 for source in rank_sources(found).sources)
    assert wrong <= 0.05 * runs + 2 * np.sqrt(0.05 * 0.95 * runs)


def test_none_is_recommended_where_none_helps() -> None:
    saved = np.random.default_rng(3).normal(0.0, 1.0, 100)
    ranking = rank_sources({"a": estimation(saved, "unlikely"), "b": estimation(saved - 1.0, "unlikely")})
    assert ranking.sentence == "None of these sources is likely to help a language model of the target much."
    open_one = rank_sources({"a": estimation(saved, "open"), "b": estimation(saved - 1.0, "unlikely")})
    assert "and whether it helps is open. It is better than each of the others." in open_one.sentence


def test_estimates_of_other_documents_are_not_compared() -> None:
    saved = np.ones(50)
    with pytest.raises(DataError, match="different validation documents"):
        rank_sources({"a": estimation(saved), "b": estimation(saved, ids=np.arange(50, 100).astype(str))})


def test_a_tokenizer_that_does_not_suit_the_target_counts_against_its_source() -> None:
    """The first saves more, but of more bits: with the second, fewer are left."""
    saved = np.random.default_rng(4).normal(9.0, 1.0, 200)
    first = estimation(saved)
    first = dataclasses.replace(first, bits=first.bits + 40.0)
    ranking = rank_sources({"a": first, "b": estimation(saved - 3.0)})
    assert [source.name for source in ranking.sources] == ["b", "a"]
    assert ranking.sources[0].bits == pytest.approx(OWN - 0.06, abs=0.01)

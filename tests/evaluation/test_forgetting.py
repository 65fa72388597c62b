"""What a model forgot, by hand."""

import math

import pyarrow as pa
import pytest

from rnnlm.evaluation.forgetting import forgetting


def said(names: list[str], nats: list[float], tokens: list[int]) -> pa.Table:
    return pa.table({"id": names, "nll": nats, "tokens": tokens, "n_characters": [10 * n for n in tokens]})


def test_documents_are_paired_by_their_id() -> None:
    before = said(["a", "b", "c"], [10.0, 20.0, 30.0], [1, 2, 3])
    after = said(["c", "a", "b"], [36.0, 12.0, 24.0], [3, 1, 2])
    found = forgetting(before, after, same_tokens=True)
    assert found.before == pytest.approx(1.0 / math.log(2.0))
    assert found.after == pytest.approx(1.2 / math.log(2.0))
    # Every document costs a fifth more: whichever are drawn, the change is the same.
    assert (found.lost.value, found.lost.low, found.lost.high) == pytest.approx((0.2 / math.log(2.0),) * 3)
    assert (found.perplexity_before, found.perplexity_after) == pytest.approx((math.exp(10.0), math.exp(12.0)))
    assert "is worse on the source's own text: 1.443 bits per character before, 1.731 after" in found.sentence


def test_the_sentence_says_no_more_than_the_interval() -> None:
    names = [f"document {n}" for n in range(20)]
    before = said(names, [10.0] * 20, [1] * 20)
    mixed = said(names, [9.0, 11.0] * 10, [1] * 20)
    assert "neither better nor worse" in forgetting(before, mixed, same_tokens=True).sentence
    better = forgetting(before, said(names, [9.0] * 20, [2] * 20), same_tokens=False)
    assert "is better on the source's own text" in better.sentence
    assert better.perplexity_before is better.perplexity_after is None

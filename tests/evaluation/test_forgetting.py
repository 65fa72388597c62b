"""What a model forgot, by hand."""

import math

import pyarrow as pa
import pytest

from rnnlm.evaluation.forgetting import forgetting


def said(nats: list[float], tokens: list[int]) -> pa.Table:
    names = [f"document {n}" for n in range(len(nats))]
    return pa.table({"id": names, "nll": nats, "tokens": tokens, "n_characters": [10 * n for n in tokens]})


def test_bits_and_perplexities_are_those_of_the_whole_text() -> None:
    found = forgetting(said([10.0, 20.0, 30.0] * 10, [1, 2, 3] * 10), said([12.0, 24.0, 36.0] * 10, [1, 2, 3] * 10))
    assert found.before == pytest.approx(1.0 / math.log(2.0))
    assert found.after == pytest.approx(1.2 / math.log(2.0))
    # Every document costs a fifth more: whichever are drawn, the change is the same.
    assert (found.lost.value, found.lost.low, found.lost.high) == pytest.approx((0.2 / math.log(2.0),) * 3)
    assert (found.perplexity_before, found.perplexity_after) == pytest.approx((math.exp(10.0), math.exp(12.0)))
    assert "is worse on the source's own text: 1.443 bits per character before, 1.731 after" in found.sentence


def test_the_sentence_says_no_more_than_the_interval() -> None:
    before = said([10.0] * 30, [1] * 30)
    assert "neither clearly better nor clearly worse" in forgetting(before, said([9.0, 11.0] * 15, [1] * 30)).sentence
    assert "is better on the source's own text" in forgetting(before, said([9.0] * 30, [1] * 30)).sentence


def test_few_documents_allow_no_claim() -> None:
    sentence = forgetting(said([10.0] * 4, [1] * 4), said([12.0] * 4, [1] * 4)).sentence
    assert "is not said: 1.443 bits per character before, 1.731 after, on 4 documents" in sentence
    assert "interval" not in sentence

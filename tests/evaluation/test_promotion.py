"""Only a challenger whose whole interval lies above the margin takes the champion's place."""

import numpy as np
import pytest

from rnnlm.evaluation.promotion import Bits, Judged, decide, decide_language_model
from rnnlm.targets import measure_of
from rnnlm.targets.entities import Found

ACCURACY = measure_of("classifier")


def right(share: float, documents: int = 2_000) -> Judged:
    """Be right on the first documents."""
    return Judged((np.arange(documents) < share * documents).astype(np.float64))


def test_where_there_is_none_the_first_becomes_champion() -> None:
    assert decide(ACCURACY, right(0.5), None, 0.0).promoted


def test_a_handful_of_test_documents_replaces_no_champion() -> None:
    decision = decide(ACCURACY, right(1.0, 29), right(0.0, 29), 0.0)
    assert not decision.promoted
    assert decision.gain is None
    assert decision.reason == "the test split has 29 documents, and to replace the champion takes 30"
    assert decide(ACCURACY, right(1.0, 30), right(0.0, 30), 0.0).promoted


@pytest.mark.parametrize("margin", [0.0, 0.02])
def test_the_same_model_and_a_worse_one_stay_challengers(margin: float) -> None:
    for share in (0.8, 0.79, 0.5):
        decision = decide(ACCURACY, right(share), right(0.8), margin)
        assert not decision.promoted
        assert decision.gain is not None
        assert decision.gain.value == pytest.approx(share - 0.8)
        assert "not above" in decision.reason


def test_a_better_one_needs_to_be_better_by_the_margin() -> None:
    # 80 of 2,000 documents more: a standard error of sqrt(0.04 * 0.96 / 2000) = 0.44 points, so about 3.1 to 4.9.
    challenger, champion = right(0.84), right(0.8)
    first = decide(ACCURACY, challenger, champion, 0.0)
    assert first.promoted
    assert first.gain is not None
    assert first.gain.low == pytest.approx(0.0314, abs=0.001)
    assert first.gain.high == pytest.approx(0.0486, abs=0.001)
    assert "4.0 points of accuracy better than the champion" in first.reason
    assert decide(ACCURACY, challenger, champion, 0.03).promoted
    assert not decide(ACCURACY, challenger, champion, 0.035).promoted


def test_a_few_entities_replace_no_champion() -> None:
    f1 = measure_of("tagger")
    true = np.zeros(200, np.int64)
    true[:40] = 1

    def judged(right: int) -> Judged:
        hits = np.minimum(true, np.arange(200) < right)
        entities = Found(hits, true, true)
        return Judged(entities.f1_by_document(), np.stack(entities, axis=1))

    few = decide(f1, judged(40), judged(36), 0.0)
    assert not few.promoted
    assert "they differ on 4 documents only" in few.reason
    assert decide(f1, judged(40), judged(30), 0.0).promoted
    true[1:] = 0
    assert decide(f1, judged(1), judged(0), 0.0).reason.startswith("the test split has 1 document, ")


def of(bits_each: float, unknown: int = 0, vocabulary: tuple[str, ...] = ("a", "b"), documents: int = 200) -> Bits:
    """Return documents of 500 characters with this number of bits in each, give or take a little."""
    noise = np.random.default_rng(1).normal(0.0, 0.02, documents)
    return Bits(500 * (bits_each + noise), np.full(documents, 500), unknown, vocabulary)


def test_a_language_model_takes_the_place_by_bits_saved() -> None:
    assert decide_language_model(None, 0.0).promoted
    better = decide_language_model((of(1.4), of(1.5)), 0.05)
    assert better.promoted
    assert better.gain is not None
    assert better.gain.value == pytest.approx(0.1)
    assert "0.100 bits per character better than the champion on the same 200 test documents" in better.reason
    for challenger, margin in ((1.4, 0.2), (1.5, 0.0), (1.6, 0.0)):
        assert not decide_language_model((of(challenger), of(1.5)), margin).promoted


def test_language_models_of_other_vocabularies_are_compared_only_where_all_words_are_known() -> None:
    assert decide_language_model((of(1.4, vocabulary=("c",)), of(1.5)), 0.0).promoted
    unlike = decide_language_model((of(1.4, unknown=3, vocabulary=("c",)), of(1.5)), 0.0)
    assert (unlike.promoted, unlike.gain) == (False, None)
    assert "vocabulary" in unlike.reason
    assert decide_language_model((of(1.4, unknown=3), of(1.5, unknown=3)), 0.0).promoted


def test_few_documents_put_no_language_model_in_the_place_of_another() -> None:
    few = decide_language_model((of(1.0, documents=29), of(1.5, documents=29)), 0.0)
    assert (few.promoted, few.gain) == (False, None)
    assert "29 documents" in few.reason

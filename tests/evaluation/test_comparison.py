import numpy as np
import pytest

from rnnlm.evaluation.comparison import (
    Predictions,
    gains,
    gains_beyond_target_text,
    outcome_of,
    paired_bootstrap,
    verdict_sentences,
)
from rnnlm.evaluation.verdict import Interval

DOCUMENTS = 400


def cell(arm: str, seed: int, accuracy: float, labels: int = 100) -> Predictions:
    generator = np.random.default_rng([seed, len(arm)])
    right = (generator.random(DOCUMENTS) < accuracy).astype(np.float64)
    return Predictions("classifier", arm, labels, seed, right, np.ones(DOCUMENTS))


def test_the_gain_is_the_mean_difference_over_seeds() -> None:
    cells = [cell(arm, seed, share) for arm, share in (("scratch", 0.6), ("parameter", 0.9)) for seed in (1, 2, 3)]
    (gain,) = gains(cells)
    by_seed = [cells[3 + n].score.mean() - cells[n].score.mean() for n in range(3)]
    assert gain.gain.value == pytest.approx(np.mean(by_seed))
    assert gain.spread == pytest.approx(np.std(by_seed, ddof=1))
    assert (gain.arm, gain.labels, gain.seeds, gain.outcome) == ("parameter", 100, 3, "positive")
    assert gain.gain.low < gain.gain.value < gain.gain.high
    assert "helps" in gain.sentence


def test_bits_saved_are_a_gain() -> None:
    characters = np.full(50, 20.0)
    better, worse = (
        Predictions("language_model", arm, 0, 1, np.full(50, bits), characters)
        for arm, bits in (("parameter", 30.0), ("scratch", 40.0))
    )
    (gain,) = gains([better, worse])
    assert gain.gain.value == pytest.approx(0.5)  # 10 bits on 20 characters
    assert gain.outcome == "positive"
    assert gain.spread is None
    assert "1 seed only" in gain.sentence


def test_an_arm_against_itself_is_no_gain() -> None:
    same = cell("scratch", 1, 0.7)
    other = Predictions("classifier", "feature", 100, 1, same.score, same.weight)
    (gain,) = gains([same, other])
    assert gain.gain == Interval(value=0.0, low=0.0, high=0.0)
    assert gain.outcome == "none found"


def test_only_seeds_of_both_arms_are_compared() -> None:
    found = gains([cell("scratch", 1, 0.5), cell("scratch", 2, 0.5), cell("parameter", 2, 0.5)])
    assert [gain.seeds for gain in found] == [1]
    assert gains([cell("scratch", 1, 0.5), cell("parameter", 2, 0.5)]) == []


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """One seed, 200 documents, a true difference of 0.1: of 200 intervals about 95 % hold it."""
    generator = np.random.default_rng(0)
    held = 0
    for n in range(200):
        difference = generator.choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=(1, 200))
        interval = paired_bootstrap(difference, np.ones(200), seed=n)
        held += interval.low <= 0.1 <= interval.high
    assert 0.89 <= held / 200 <= 0.99  # 95 % with four standard deviations of 1.5 points


def test_disagreeing_seeds_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(3, 300))
    agreeing = paired_bootstrap(noise + 1.0, np.ones(300))
    disagreeing = paired_bootstrap(noise + np.array([[0.0], [1.0], [2.0]]), np.ones(300))
    assert disagreeing.high - disagreeing.low > 2 * (agreeing.high - agreeing.low)


def test_weights_count_documents_by_their_length() -> None:
    interval = paired_bootstrap(np.array([[10.0, 0.0]]), np.array([1.0, 9.0]))
    assert interval.value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.01, 0.2, "positive"), (-0.2, -0.01, "negative"), (-0.1, 0.1, "none found"), (0.0, 0.1, "none found")],
)
def test_the_outcome_never_says_more_than_the_interval(low: float, high: float, outcome: str) -> None:
    assert outcome_of(Interval(value=0.0, low=low, high=high)) == outcome


def test_the_verdict_names_help_and_harm() -> None:
    shares = [("scratch", 0.6, 100), ("parameter", 0.95, 100), ("scratch", 0.9, 500), ("parameter", 0.5, 500)]
    found = gains([cell(arm, 1, share, labels) for arm, share, labels in shares])
    (sentence,) = verdict_sentences(found, [])
    assert sentence.startswith("Transfer to the target classifier. It helps: parameter transfer with 100 labels, +")
    assert sentence.endswith(". It hurts: parameter transfer with 500 labels.")


def test_the_verdict_names_the_best_of_several() -> None:
    shares = [("scratch", 0.5), ("parameter", 0.7), ("feature", 0.9)]
    found = gains([cell(arm, 1, share, labels) for arm, share in shares for labels in (100, 2_000)])
    (sentence,) = verdict_sentences(found, [])
    assert "parameter transfer with 100 and 2,000 labels and feature transfer with 100 and 2,000 labels" in sentence
    assert "; most: feature transfer with" in sentence


def test_no_effect_is_called_so() -> None:
    found = gains([cell("scratch", 1, 0.6), cell("parameter", 1, 0.6)])
    assert verdict_sentences(found, []) == [
        "Transfer to the target classifier. No effect was found: parameter transfer with 100 labels."
    ]


def test_what_the_targets_text_gives_by_itself_is_not_credited_to_the_source() -> None:
    cells = [cell("scratch", 1, 0.6), cell("target_text", 1, 0.9), cell("feature", 1, 0.9)]
    beyond = gains_beyond_target_text(cells)
    assert [(gain.arm, gain.baseline, gain.outcome) for gain in beyond] == [("feature", "target_text", "none found")]
    sentences = verdict_sentences(gains(cells), beyond)
    assert sentences[0].startswith("Transfer to the target classifier. It helps: feature transfer")
    assert sentences[1] == (
        "What the source adds to the target's own text. No effect was found: feature transfer with 100 labels."
    )
    assert "than from the target's own text alone" in beyond[0].sentence

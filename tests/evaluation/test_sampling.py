"""The distribution of a gain about the true one, beside independent computations and simulations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.calibration import Kind, Place, judged
from rnnlm.evaluation.enough import LEAST_DOCUMENTS
from rnnlm.evaluation.sampling import Sampled, Scores, gains_of, of_documents


def simulated(
    generator: np.random.Generator, arms: int, seeds: int, spread: float, documents: int = 2_000
) -> list[Scores]:
    """Return arms that are equally good, and whose documents hardly matter."""
    return [
        Scores(
            generator.normal(0.0, spread, (seeds, 1)) + generator.normal(0.0, 0.01, (seeds, documents)),
            np.ones(documents),
        )
        for _ in range(arms)
    ]


def half(gain: Sampled) -> float:
    return (gain.interval().high - gain.interval().low) / 2.0


def test_two_models_are_compared_as_a_t_test_does() -> None:
    difference = np.random.default_rng(0).normal(0.1, 1.0, 80)
    gain, expected = of_documents(difference, np.ones(80)), stats.ttest_1samp(difference, 0.0)
    assert gain.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (gain.interval().low, gain.interval().high) == pytest.approx((interval.low, interval.high))


def test_documents_of_different_length_are_left_out_one_by_one() -> None:
    generator = np.random.default_rng(1)
    weight = generator.lognormal(5.0, 1.0, 60)
    difference = weight * generator.normal(0.1, 1.0, 60)
    gain = of_documents(difference, weight)
    without = np.array([np.delete(difference, n).sum() / np.delete(weight, n).sum() for n in range(60)])
    effective = weight.sum() ** 2 / np.square(weight).sum()
    jackknife = np.square(without - gain.value).sum() * (1.0 - 1.0 / effective)
    assert gain.deviations**2 == pytest.approx(jackknife)
    assert gain.value == pytest.approx(np.average(difference / weight, weights=weight))


def test_a_model_against_itself_gains_nothing() -> None:
    same = of_documents(np.zeros(50), np.ones(50))
    assert (same.p_value, same.interval().low, same.interval().high) == (1.0, 0.0, 0.0)


def test_one_document_shows_no_variance() -> None:
    assert half(of_documents(np.array([3.0]), np.array([2.0]))) == 0.0


def test_seeds_that_disagree_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    noise, zero = generator.normal(size=(3, 300)), np.zeros((3, 300))
    other = [Scores(generator.normal(size=(3, 300)), np.ones(300)) for _ in range(2)]
    apart = np.array([[0.0], [1.0], [2.0]])
    agreeing, disagreeing = (
        gains_of([Scores(scores, np.ones(300)), *other], Scores(zero, np.ones(300)))[0]
        for scores in (noise + 1.0, noise + apart)
    )
    assert agreeing is not None
    assert disagreeing is not None
    assert half(disagreeing) > 2 * half(agreeing)


def test_one_seed_says_nothing_about_other_seeds() -> None:
    ones = simulated(np.random.default_rng(0), 2, 1, 0.1)
    assert gains_of(ones[1:], ones[0]) == [None]


def test_seeds_that_change_nothing_leave_the_documents() -> None:
    first, second = (np.random.default_rng(n).normal(size=300) for n in (1, 2))
    baseline, arm = (Scores(np.tile(one, (3, 1)), np.ones(300)) for one in (first, second))
    (gain,) = gains_of([arm], baseline)
    assert gain is not None
    alone = of_documents(second - first, np.ones(300))
    assert (gain.value, half(gain)) == pytest.approx((alone.value, half(alone)))


def test_with_many_seeds_the_interval_is_that_of_welch() -> None:
    """Forty seeds say all about the spread of an arm: the known formula for two samples has to come out."""
    generator = np.random.default_rng(2)
    baseline, arm = simulated(generator, 1, 40, 0.05)[0], simulated(generator, 1, 40, 0.2)[0]
    (gain,) = gains_of([arm], baseline)
    expected = stats.ttest_ind(arm.means, baseline.means, equal_var=False).confidence_interval(0.95)
    assert gain is not None
    assert (gain.interval().low, gain.interval().high) == pytest.approx(
        (expected.low, expected.high), rel=0.05, abs=0.005
    )


def test_arms_that_are_alike_tell_of_each_other() -> None:
    """Of two arms with three seeds little is known, of nine the spread is: intervals become narrower."""
    widths = []
    for arms in (2, 9):
        families = [simulated(np.random.default_rng(n), arms, 3, 0.05) for n in range(20)]
        widths.append(np.mean([half(gain) for f in families if (gain := gains_of(f[1:], f[0])[0]) is not None]))
    known = 1.96 * 0.05 * np.sqrt(2 / 3)
    assert known < widths[1] < 0.8 * widths[0]


@given(
    seed=st.integers(0, 10_000),
    seeds=st.integers(2, 5),
    arms=st.integers(1, 4),
    spread=st.sampled_from([0.0, 0.01, 0.1, 10.0]),
)
def test_interval_and_p_value_say_the_same(seed: int, seeds: int, arms: int, spread: float) -> None:
    family = simulated(np.random.default_rng(seed), arms + 1, seeds, spread, documents=40)
    for gain in gains_of(family[1:], family[0]):
        assert gain is not None
        assert gain.shares.sum() == pytest.approx(1.0)
        assert 0.0 < gain.p_value <= 1.0
        assert (gain.p_value <= 0.05) == (not gain.interval().low < 0.0 < gain.interval().high)
        margin = max(abs(gain.interval().low), abs(gain.interval().high))
        assert gain.p_not_within(margin) == pytest.approx(0.025)


@given(seed=st.integers(0, 10_000), factor=st.sampled_from([1e-6, 0.01, 100.0, 1e6]))
def test_the_unit_of_the_scores_does_not_matter(seed: int, factor: float) -> None:
    family = simulated(np.random.default_rng(seed), 3, 3, 0.02, documents=50)
    scaled = [Scores(factor * one.scores, one.weight) for one in family]
    for gain, other in zip(gains_of(family[1:], family[0]), gains_of(scaled[1:], scaled[0]), strict=True):
        assert gain is not None
        assert other is not None
        assert other.value == pytest.approx(factor * gain.value)
        assert half(other) == pytest.approx(factor * half(gain), rel=1e-3)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two models, 200 documents, a true difference of 0.1: of 400 intervals about 95 % hold it."""
    generator, held = np.random.default_rng(0), 0
    for _ in range(400):
        difference = generator.choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=200)
        interval = of_documents(difference, np.ones(200)).interval()
        held += interval.low <= 0.1 <= interval.high
    assert 0.92 <= held / 400 <= 0.98  # 95 % with three standard deviations of 1.1 points


@pytest.mark.parametrize("kind", ["2 classes", "bits"])
@pytest.mark.parametrize(
    ("arms", "seeds", "spread"),
    [(1, 2, "4"), (1, 3, "baseline 4"), (3, 2, "one arm 4"), (3, 3, "baseline 4"), (3, 5, "0"), (8, 2, "baseline 4")],
)
def test_false_alarms_are_as_rare_as_is_claimed(kind: Kind, arms: int, seeds: int, spread: str) -> None:
    """Cells of benchmarks/calibration.py, those among them in which earlier judgements called far more than 5 %."""
    found = judged(Place(kind, 400, arms, seeds, spread), families=200)
    assert found.alarms <= found.allowed


def test_power_is_near_that_of_one_who_knows_the_spread() -> None:
    found = judged(Place("2 classes", 400, 1, 10, "1"), families=400)
    assert found.power >= 0.8 * found.oracle


@pytest.mark.parametrize("documents", [4, LEAST_DOCUMENTS])
def test_few_documents_of_very_different_length_raise_no_false_alarms(documents: int) -> None:
    """5 % of 2,000 comparisons in which there is nothing to find, and a point more: the lengths are few as well."""
    generator, alarms = np.random.default_rng(documents), 0
    for _ in range(2_000):
        characters = generator.lognormal(5.0, 1.0, documents)
        alarms += of_documents(characters * generator.normal(size=documents), characters).p_value <= 0.05
    assert alarms / 2_000 < 0.06 + 2 * 0.005


def test_the_seeds_that_would_decide_do_so_in_four_of_five_cases() -> None:
    """A gain as large as the spread: with the seeds that are named, an oracle finds it in four of five cases."""
    generator, spread, gain = np.random.default_rng(0), 0.05, 0.05
    pilot = simulated(generator, 9, 10, spread)
    pilot[1] = Scores(pilot[1].scores - pilot[1].means.mean() + pilot[0].means.mean() + gain, pilot[1].weight)
    (sampled, *_) = gains_of(pilot[1:], pilot[0])
    assert sampled is not None
    seeds = sampled.seeds_to_decide(0.01)
    assert seeds is not None
    exact = (2.8**2) * 2 * spread**2 / gain**2  # 15.7
    assert 0.6 * exact < seeds < 1.6 * exact
    deviation = spread * np.sqrt(2 / seeds)
    found = generator.normal(gain, deviation, 2_000) > 1.96 * deviation
    assert 0.65 < found.mean() < 0.92


def test_no_number_of_seeds_makes_up_for_few_documents() -> None:
    generator = np.random.default_rng(0)
    hard = generator.normal(size=(2, 1, 40))
    baseline, arm = (Scores(hard[n] + generator.normal(0.0, 0.01, (3, 40)), np.ones(40)) for n in range(2))
    (gain,) = gains_of([arm], baseline)
    assert gain is not None
    assert gain.seeds_to_decide(0.01) is None


FIRST, SECOND = np.random.default_rng(1).normal(size=300), np.random.default_rng(2).normal(size=300)


@pytest.mark.parametrize(
    ("arm", "baseline", "deviation"),
    [
        ([FIRST, SECOND, FIRST], [FIRST, SECOND, FIRST], 0.0),  # the arm is its baseline
        ([FIRST, SECOND], [SECOND, FIRST], 0.0),  # the same models in another order
        ([FIRST, FIRST + 0.5, FIRST + 1.0], [FIRST, FIRST, FIRST], 0.0),  # seeds differ by a constant
        ([FIRST[:1], SECOND[:1]], [SECOND[:1], FIRST[:1]], 0.0),  # one document
        ([1e-9 * FIRST[:5], 1e-9 * SECOND[:5]], [np.zeros(5), np.zeros(5)], 1e-10),
    ],
)
def test_what_hardly_varies_is_no_obstacle(arm: list[np.ndarray], baseline: list[np.ndarray], deviation: float) -> None:
    weight = np.ones(len(arm[0]))
    for others in ([], [Scores(np.stack([FIRST, SECOND])[:, : len(weight)], weight)]):
        gain = gains_of([Scores(np.stack(arm), weight), *others], Scores(np.stack(baseline), weight))[0]
        assert gain is not None
        assert gain.interval().low <= gain.value <= gain.interval().high
        assert np.isfinite(gain.interval().high)
        assert 0.0 <= gain.p_value <= 1.0
        assert half(gain) >= deviation


def test_a_diverged_model_spoils_its_own_gain_alone() -> None:
    family = simulated(np.random.default_rng(0), 3, 3, 0.05)
    broken = Scores(np.where(np.arange(3)[:, None] == 1, np.nan, family[1].scores), family[1].weight)
    spoilt, whole = gains_of([broken, family[2]], family[0])
    (alone,) = gains_of([family[2]], family[0])
    assert spoilt is not None
    assert whole is not None
    assert alone is not None
    assert np.isnan(spoilt.value)
    assert whole.interval() == alone.interval()


@given(seed=st.integers(0, 10_000), documents=st.integers(2, 8), seeds=st.integers(2, 3), places=st.integers(0, 2))
def test_small_and_rounded_scores_have_an_interval(seed: int, documents: int, seeds: int, places: int) -> None:
    generator = np.random.default_rng(seed)
    weight = np.ceil(generator.lognormal(2.0, 1.0, documents))
    family = [Scores(np.round(generator.normal(size=(seeds, documents)), places), weight) for _ in range(3)]
    for gain in gains_of(family[1:], family[0]):
        assert gain is not None
        assert gain.interval().low <= gain.value <= gain.interval().high
        assert 0.0 <= gain.p_value <= 1.0


def test_a_spread_from_elsewhere_stays_with_its_arm() -> None:
    """One seed here; elsewhere the baseline differs much from seed to seed, and the arms do not."""
    generator, alarms, families = np.random.default_rng(0), 0, 300
    for _ in range(families):
        spreads = [0.04] + [0.005] * 8
        there = [simulated(generator, 1, 3, spread, 200)[0] for spread in spreads]
        here = [simulated(generator, 1, 1, spread, 200)[0] for spread in spreads]
        smallest = min(gain.p_value for gain in gains_of(here[1:], here[0], there) if gain is not None)
        alarms += 8 * smallest <= 0.05
    assert alarms / families <= 0.05 + 2 * (0.05 * 0.95 / families) ** 0.5

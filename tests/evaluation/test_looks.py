"""Looking several times at growing data: the levels, and when more seeds are worth their time."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from rnnlm.evaluation.comparison import Predictions, Rules, gains, seeds_wanted
from rnnlm.evaluation.looks import LEVEL, level_at, levels, power_point
from rnnlm.evaluation.sampling import Sampled
from rnnlm.experiment import Comparison

LOOKS = (3, 5, 7, 10)
RULES = Rules(looks=LOOKS)


@pytest.mark.parametrize("looks", [(10,), (3, 5), LOOKS, (3, 5, 7, 10, 14, 20)])
def test_all_looks_together_are_wrong_as_often_as_one(looks: tuple[int, ...]) -> None:
    """By simulation: independent seeds whose mean is zero. Up to each look no more is spent than it may."""
    seeds = np.random.default_rng(1).standard_normal((200_000, looks[-1])).cumsum(axis=1)
    found = np.zeros(len(seeds), bool)
    for look, level in zip(looks, levels(looks), strict=True):
        found |= np.abs(seeds[:, look - 1]) / np.sqrt(look) > stats.norm.isf(level / 2.0)
        spent = LEVEL * (look / looks[-1]) ** 2
        assert found.mean() == pytest.approx(spent, abs=4.0 * np.sqrt(spent / len(seeds)))


def test_one_look_is_judged_as_ever_and_between_two_looks_the_earlier_one_counts() -> None:
    assert levels((10,))[0] == pytest.approx(LEVEL)
    assert level_at(7, ()) == LEVEL
    assert level_at(6, LOOKS) == level_at(5, LOOKS) == levels(LOOKS)[1]
    assert level_at(1, LOOKS) == LEVEL  # a language model that all seeds share: it is never looked at again


def test_the_power_point_is_where_four_of_five_are_found() -> None:
    assert power_point(0.05) == pytest.approx(2.8016, abs=1e-4)


@pytest.mark.parametrize(
    ("most", "looks"), [(3, (3,)), (4, (3, 4)), (8, (3, 5, 7, 8)), (10, LOOKS), (20, (3, 5, 7, 10, 14, 20))]
)
def test_looks_go_up_to_the_most_seeds(most: int, looks: tuple[int, ...]) -> None:
    assert Comparison(seeds="auto", max_seeds=most).looks == looks
    assert Comparison(max_seeds=most).looks == ()


@pytest.mark.parametrize(("value", "margin"), [(0.0, 0.01), (0.012, 0.01), (0.03, 0.0), (-0.02, 0.05), (0.004, 0.02)])
def test_the_chance_of_a_decision_is_what_a_simulation_finds(value: float, margin: float) -> None:
    now, seeds, level, lasting, of_a_seed = 3, 10, 0.03, 1e-5, 4e-4
    gain = Sampled(value, np.ones(1), np.ones(1), 100.0, lasting, of_a_seed)
    moved = np.random.default_rng(1).standard_normal(200_000) * np.sqrt(of_a_seed * (1 / now - 1 / seeds)) + value
    half = stats.norm.isf(level / 2) * np.sqrt(lasting + of_a_seed / seeds)
    decided = (np.abs(moved) > half) | (np.abs(moved) < margin - half)
    assert gain.chance(seeds, now, margin, level) == pytest.approx(decided.mean(), abs=0.005)


def test_where_seeds_make_no_difference_more_of_them_decide_nothing() -> None:
    assert Sampled(0.01, np.ones(1), np.ones(1), 100.0, 1e-4, 0.0).chance(10, 3, 0.0, LEVEL) == 0.0
    assert Sampled(0.03, np.ones(1), np.ones(1), 100.0, 1e-4, 0.0).chance(10, 3, 0.0, LEVEL) == 1.0
    assert Sampled(0.01, np.ones(1), np.ones(1), 100.0).chance(10, 3, 0.0, LEVEL) == 1.0  # nothing is known of seeds


def cells(arm: str, accuracies: list[float], documents: int = 2_000, labels: int = 100) -> list[Predictions]:
    """Return cells of one arm: the seeds differ in how many of the same documents they get right."""
    return [
        Predictions(
            "classifier",
            arm,
            labels,
            seed,
            (np.arange(documents) < share * documents).astype(float),
            np.ones(documents),
        )
        for seed, share in enumerate(accuracies, start=1)
    ]


def test_an_open_comparison_gets_the_seeds_of_the_next_look_for_both_arms() -> None:
    baseline, better = cells("scratch", [0.60, 0.63, 0.57]), cells("parameter", [0.80, 0.83, 0.81])
    unclear = cells("feature", [0.62, 0.66, 0.60])
    found = {gain.arm: gain.outcome for gain in gains([*baseline, *better, *unclear], rules=RULES)}
    assert found == {"parameter": "positive", "feature": "open"}
    wanted = seeds_wanted([*baseline, *better, *unclear], RULES)
    assert wanted == {("classifier", "feature", 100): 5, ("classifier", "scratch", 100): 5}
    assert seeds_wanted([*baseline, *better], RULES) == {}
    assert seeds_wanted([*baseline, *unclear], Rules()) == {}, "their number is fixed"
    assert seeds_wanted([*baseline, *unclear], Rules(looks=(3,))) == {}, "all seeds are used up"


def test_a_comparison_that_documents_leave_open_gets_no_more_seeds() -> None:
    """Forty documents, and the two err on others: the interval is wider than the gain, whatever seeds say."""
    mine = [replace(one, score=one.score[::-1]) for one in cells("parameter", [0.65, 0.625, 0.65], 40)]
    few = [*cells("scratch", [0.60, 0.60, 0.625], 40), *mine]
    (gain,) = gains(few, rules=RULES)
    assert gain.outcome == "open"
    assert seeds_wanted(few, RULES) == {}


def test_arms_with_more_seeds_than_their_baseline_wait_for_it() -> None:
    wanted = seeds_wanted([*cells("scratch", [0.60, 0.63, 0.57]), *cells("feature", [0.62, 0.66, 0.60] * 2)], RULES)
    assert wanted == {("classifier", "feature", 100): 5, ("classifier", "scratch", 100): 5}


def test_an_interval_at_the_first_look_is_wider_than_one_that_is_looked_at_once() -> None:
    data = [*cells("scratch", [0.60, 0.63, 0.57]), *cells("feature", [0.62, 0.66, 0.60])]
    (once,), (again,) = gains(data), gains(data, rules=RULES)
    assert again.gain.low < once.gain.low < once.gain.high < again.gain.high
    assert once.p_value is not None
    assert again.p_value == pytest.approx(min(1.0, once.p_value * LEVEL / levels(LOOKS)[0]))


def test_false_alarms_stay_rare_where_seeds_are_added_until_something_is_seen() -> None:
    """A part of `benchmarks/calibration.py`: one arm that is like the baseline, seeds that differ by two points."""
    generator, alarms, families, used = np.random.default_rng(3), 0, 150, []
    for _ in range(families):
        hard = generator.beta(4.0, 2.0, 500)
        data = {
            arm: [
                Predictions(
                    "classifier", arm, 100, seed, (generator.random(500) < hard + shift).astype(float), np.ones(500)
                )
                for seed, shift in enumerate(0.02 * generator.standard_normal(LOOKS[-1]))
            ]
            for arm in ("scratch", "parameter")
        }
        seeds = LOOKS[0]
        while wanted := seeds_wanted([cell for arm in data.values() for cell in arm[:seeds]], RULES):
            seeds = max(wanted.values())
        (gain,) = gains([cell for arm in data.values() for cell in arm[:seeds]], rules=RULES)
        alarms += gain.outcome in ("positive", "negative")
        used.append(seeds)
    assert alarms / families <= LEVEL + 2.0 * np.sqrt(LEVEL * (1.0 - LEVEL) / families)
    assert LOOKS[0] < np.mean(used) < LOOKS[-1]

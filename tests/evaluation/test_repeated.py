"""What the benchmark of repeated runs calls a contradiction."""

from collections import Counter

import pytest

from benchmarks.repeated import compared
from rnnlm.evaluation.verdict import Gain, Interval


def gain(value: float, half: float, outcome: str, about: str = "training") -> Gain:
    return Gain.model_validate(
        {
            "task": "classifier",
            "metric": "accuracy",
            "arm": "parameter",
            "labels": 500,
            "gain": Interval(value=value, low=value - half, high=value + half),
            "spread": 0.01,
            "seeds": 3,
            "p_value": 0.01,
            "outcome": outcome,
            "about": about,
            "sentence": "",
        }
    )


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0.05, 0.02, "positive"), (0.06, 0.02, "positive"), {"compared": 2}),
        ((0.05, 0.02, "positive"), (0.02, 0.04, "open"), {"compared": 1}),
        ((0.07, 0.02, "positive"), (0.02, 0.04, "open"), {"compared": 1, "outside": 1}),
        ((0.05, 0.02, "positive"), (0.0, 0.005, "equal"), {"compared": 2, "other claim": 2, "apart": 2, "outside": 2}),
        (
            (0.05, 0.02, "positive"),
            (-0.05, 0.02, "negative"),
            {"compared": 2, "opposite": 2, "apart": 2, "outside": 2},
        ),
        ((0.05, 0.02, "positive"), (0.0, 0.5, "no claim"), {}),
        ((0.05, 0.08, "open"), (0.0, 0.08, "open"), {}),
    ],
)
def test_claims_are_compared_with_what_the_other_run_says(
    one: tuple[float, float, str], other: tuple[float, float, str], expected: dict[str, int]
) -> None:
    total: Counter[str] = Counter()
    for about, count in compared([[gain(*one)], [gain(*other)]]):
        assert about == "training"
        total.update(count)
    assert +total == Counter(expected)


def test_what_only_one_run_says_is_not_compared() -> None:
    other = gain(0.05, 0.02, "positive").model_copy(update={"labels": 2_000})
    assert not list(compared([[gain(0.05, 0.02, "positive")], [other]]))

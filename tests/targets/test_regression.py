"""Numbers as labels: scores against scikit-learn and NumPy, and what is particular to them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn import metrics

from rnnlm.targets import TASKS, measure_of
from rnnlm.targets.solver import Options, ridge_regression

TASK = TASKS["regression"]
generator = np.random.default_rng(1)
LABELS = generator.normal(5.0, 2.0, 300)
SAID = LABELS + generator.normal(0.3, 1.0, 300)


def test_scores_are_those_of_scikit_learn() -> None:
    found = TASK.score_all(SAID, LABELS)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(LABELS, SAID))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(LABELS, SAID))
    assert found["r2"] == pytest.approx(metrics.r2_score(LABELS, SAID))
    ranks = [np.argsort(np.argsort(one)) for one in (SAID, LABELS)]
    assert found["spearman"] == pytest.approx(np.corrcoef(ranks[0], ranks[1])[0, 1])
    assert TASK.scores(SAID, LABELS).mean() == pytest.approx(-found["mae"])


def test_a_constant_answer_and_constant_labels_have_no_correlation() -> None:
    assert TASK.score_all(np.full(300, 5.0), LABELS)["spearman"] == 0.0
    same = TASK.score_all(SAID, np.full(300, 5.0))
    assert (same["spearman"], same["r2"]) == (0.0, 0.0)
    assert all(np.isfinite(value) for value in same.values())


@pytest.mark.parametrize(("select", "better"), [("mae", 0.1), ("rmse", 0.1), ("spearman", 0.9)])
def test_the_best_is_the_one_with_the_smaller_error_or_the_higher_correlation(select: str, better: float) -> None:
    worse = {"mae": 0.5, "rmse": 0.5, "spearman": 0.5}
    assert TASK.rank(worse | {select: better}, select) > TASK.rank(worse, select)
    assert TASK.rank(worse | {"mae": 0.4}, select) > TASK.rank(worse, select)  # ties go by the measure


@given(st.lists(st.floats(-100, 100), min_size=20, max_size=200))
def test_strata_rise_with_the_labels(labels: list[float]) -> None:
    numbers = np.array(labels)
    strata = TASK.strata(numbers)
    order = np.argsort(numbers, kind="stable")
    assert (np.diff(strata[order]) >= 0).all()
    assert strata.min() >= 0
    # Equal numbers are in one stratum.
    assert all(len(set(strata[numbers == one])) == 1 for one in numbers)


def test_a_weighted_mean_is_no_worse_than_either_and_weights_follow_the_noise() -> None:
    first, second = LABELS + generator.normal(0, 0.5, 300), LABELS + generator.normal(0, 1.5, 300)
    weights = TASK.fit_weights([first, second], LABELS)
    shares = weights / weights.sum()
    # By independent noise the best shares go by the inverse variances: 4 / (4 + 4/9) = 0.9.
    assert shares[0] == pytest.approx(0.9, abs=0.06)
    mean = TASK.weighted([first, second], shares)
    error = TASK.score_all(mean, LABELS)["rmse"]
    assert error < min(TASK.score_all(one, LABELS)["rmse"] for one in (first, second))
    assert weights.sum() == pytest.approx(1.0)


def test_a_model_that_says_too_little_gets_no_large_weight() -> None:
    """Shrunken answers would need a factor; the weights of a mean are one in all, so they get a small share."""
    noise = np.random.default_rng(3).normal(0, 0.3, (2, 300))
    centred = LABELS - LABELS.mean()
    said = [0.3 * centred + noise[0], 0.9 * centred + noise[1]]
    weights = TASK.fit_weights(said, centred)
    grid = np.linspace(0, 1, 1_001)
    errors = [TASK.score_all(share * said[0] + (1 - share) * said[1], centred)["rmse"] for share in grid]
    assert weights[0] == pytest.approx(grid[int(np.argmin(errors))], abs=1e-3)
    # Another zero of the scale changes nothing.
    moved = TASK.fit_weights([one + 1_000.0 for one in said], centred + 1_000.0)
    np.testing.assert_allclose(moved, weights, atol=1e-4)


def test_ridge_regression_is_solved_to_its_optimum_and_stays_in_range() -> None:
    features = sparse.random_array((300, 20), density=0.4, rng=np.random.default_rng(2)).tocsr()
    labels = features @ np.linspace(-1, 1, 20) + 3.0
    (said,) = ridge_regression(features, labels, [features], 10.0, Options(classes=0))
    dense = np.asarray(features.todense())
    centred = dense - dense.mean(axis=0)
    weights = np.linalg.solve(centred.T @ centred + 0.1 * np.eye(20), centred.T @ (labels - labels.mean()))
    expected = centred @ weights + labels.mean()
    np.testing.assert_allclose(said, np.clip(expected, labels.min(), labels.max()), atol=1e-4)


def test_what_was_said_comes_back_from_its_table() -> None:
    table = pa.table(TASK.table(SAID, LABELS))
    np.testing.assert_array_equal(TASK.said(table), SAID)
    np.testing.assert_array_equal(table["label"].to_numpy(), LABELS)


def test_gains_of_any_size_are_written_with_three_digits() -> None:
    measure = measure_of("regressor")
    assert measure.difference(0.0312) == "0.0312 less mean absolute error"
    assert measure.difference(-1234.5) == "1,234 more mean absolute error"
    assert measure.interval(-0.01, 0.5) == "95 % interval of what is saved -0.010 to +0.500"
    assert measure.gained(1.5, 1.0, 2.0) == "1.50 of mean absolute error saved (95 % interval 1.00 to 2.00)"
    assert measure_of("classifier").difference(-0.0312) == "3.1 points of accuracy worse"
    assert measure_of("language_model").difference(0.02) == "0.020 bits per character better"

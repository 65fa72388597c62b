"""Calibration, against sums by hand, a grid of temperatures and the logits themselves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.targets.calibration import (
    COLDEST,
    HOTTEST,
    calibration_metrics,
    expected_calibration_error,
    fit_temperature,
    with_temperature,
)
from rnnlm.targets.class_scores import classification_metrics


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def two(confidence: list[float]) -> np.ndarray:
    return np.array([[c, 1.0 - c] for c in confidence])


def test_the_error_by_hand() -> None:
    """Bins of 0.2: (0.6, 0.8] holds 0.65 and 0.75, one right; (0.8, 1] holds 0.9 and 1, both right."""
    found = expected_calibration_error(two([0.65, 0.75, 0.9, 1.0]), np.array([0, 1, 0, 0]), bins=5)
    assert found == pytest.approx(0.5 * abs(0.70 - 0.5) + 0.5 * abs(0.95 - 1.0))


def test_an_edge_belongs_to_the_bin_below_it() -> None:
    """0.8 stands with 0.7, not with 0.9: there one is right and one is wrong."""
    found = expected_calibration_error(two([0.7, 0.8, 0.9]), np.array([0, 1, 0]), bins=5)
    assert found == pytest.approx(2 / 3 * abs(0.75 - 0.5) + 1 / 3 * abs(0.9 - 1.0))


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_the_error_agrees_with_a_loop_over_bins(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(classes), 60)
    labels = generator.integers(0, classes, 60)
    expected = 0.0
    for n in range(15):
        inside = [
            (p.max(), p.argmax() == label)
            for p, label in zip(probabilities, labels, strict=True)
            if n / 15 < p.max() <= (n + 1) / 15
        ]
        if inside:
            confidence, right = (sum(values) / len(inside) for values in zip(*inside, strict=True))
            expected += len(inside) / 60 * abs(confidence - right)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_who_is_always_sure_and_right_has_no_error() -> None:
    labels = np.array([0, 1, 1, 0])
    assert expected_calibration_error(np.eye(2)[labels], labels) == 0.0
    assert expected_calibration_error(np.eye(2)[1 - labels], labels) == 1.0


@given(st.floats(0.1, 10.0), st.integers(0, 2**32 - 1))
def test_a_temperature_divides_the_logits(temperature: float, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0.0, 3.0, (20, 4))
    found = with_temperature(softmax(logits), temperature)
    np.testing.assert_allclose(found, softmax(logits / temperature), rtol=1e-9, atol=1e-15)


@given(st.floats(0.1, 10.0), st.floats(-30.0, 30.0))
def test_it_is_the_same_for_a_sigmoid(temperature: float, logit: float) -> None:
    sigmoid = [1.0 / (1.0 + math.exp(sign * logit)) for sign in (1.0, -1.0)]
    found = with_temperature(np.array([sigmoid]), temperature)
    assert found[0, 1] == pytest.approx(1.0 / (1.0 + math.exp(-logit / temperature)), rel=1e-6)


@given(st.floats(0.05, 20.0), st.integers(0, 2**32 - 1))
def test_a_temperature_keeps_the_order_of_the_classes(temperature: float, seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(4), 10).astype(np.float32)
    found = with_temperature(probabilities, temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    np.testing.assert_array_equal(found.argmax(axis=1), probabilities.argmax(axis=1))


def overconfident(documents: int, seed: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from a softmax, and the probabilities of one whose logits are `factor` times too large."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0.0, 1.5, (documents, 3))
    labels = np.array([generator.choice(3, p=p) for p in softmax(logits)])
    return softmax(factor * logits), labels


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_the_temperature_that_made_it_too_sure_is_found(factor: float) -> None:
    probabilities, labels = overconfident(6_000, 1, factor)
    assert fit_temperature(probabilities, labels) == pytest.approx(factor, rel=0.07)


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 5.0))
def test_no_temperature_of_a_fine_grid_is_better(seed: int, factor: float) -> None:
    probabilities, labels = overconfident(40, seed, factor)

    def nll(temperature: float) -> float:
        return classification_metrics(with_temperature(probabilities, temperature), labels)["nll"]

    grid = np.exp(np.linspace(math.log(COLDEST), math.log(HOTTEST), 200))
    assert nll(fit_temperature(probabilities, labels)) <= min(map(nll, grid)) + 1e-6


def test_a_split_without_an_error_asks_for_no_more_than_the_coldest() -> None:
    probabilities = two([0.9, 0.8, 0.7])
    assert fit_temperature(probabilities, np.zeros(3, int)) == pytest.approx(COLDEST, rel=0.01)
    assert fit_temperature(probabilities, np.ones(3, int)) == pytest.approx(HOTTEST, rel=0.01)


def test_certainties_give_finite_numbers() -> None:
    """A subset of one class gives probabilities of 0 and 1."""
    probabilities, labels = np.array([[1.0, 0.0]] * 4), np.array([0, 0, 1, 0])
    temperature = fit_temperature(probabilities, labels)
    metrics = calibration_metrics(probabilities, labels, temperature)
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["ece"] == pytest.approx(0.25)
    assert metrics["nll_calibrated"] < classification_metrics(probabilities, labels)["nll"]


def test_the_temperature_mends_other_documents_too() -> None:
    temperature = fit_temperature(*overconfident(2_000, 1, 3.0))
    probabilities, labels = overconfident(2_000, 2, 3.0)
    metrics = calibration_metrics(probabilities, labels, temperature)
    assert metrics["ece_calibrated"] < 0.04 < 0.1 < metrics["ece"]
    assert metrics["nll_calibrated"] < classification_metrics(probabilities, labels)["nll"]
    calibrated = with_temperature(probabilities, temperature)
    assert metrics["ece_calibrated"] == pytest.approx(expected_calibration_error(calibrated, labels))

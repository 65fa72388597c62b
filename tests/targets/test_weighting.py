"""Weights of a mean of classifiers: the best that held-out labels allow, found in another way as well."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.targets.calibration import fit_temperature, with_temperature
from rnnlm.targets.weighting import SHRINKAGE, fit_weights, weighted


def some(seed: int, documents: int = 300, classes: int = 3) -> tuple[list[np.ndarray], np.ndarray]:
    """Return what two classifiers say, who err on different documents, and the labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, documents)
    said = []
    for strength in (1.5, 0.8):
        logits = generator.normal(size=(documents, classes))
        logits[np.arange(documents), labels] += strength
        powers = np.exp(2.0 * logits)  # surer than they are right
        said.append(powers / powers.sum(axis=1, keepdims=True))
    return said, labels


def nll(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def test_a_few_documents_do_not_give_all_weight_to_one() -> None:
    """Five documents that both get right say nothing about which is better; new documents do."""
    said, labels = some(6, 2_000)
    right = np.flatnonzero((said[0].argmax(axis=1) == labels) & (said[1].argmax(axis=1) == labels))[:5]
    weights = fit_weights([one[right] for one in said], labels[right])
    assert np.isfinite(weights).all()
    assert weights.min() > 0.3 * weights.max()
    assert nll(weighted(said, weights), labels) < 2.0


def test_no_other_weights_make_the_labels_likelier() -> None:
    said, labels = some(1)

    def loss(weights: np.ndarray) -> float:
        shrinkage = SHRINKAGE * ((weights - weights.mean()) ** 2).sum() / (2 * len(labels))
        return nll(weighted(said, weights), labels) + float(shrinkage)

    found = loss(fit_weights(said, labels))
    grid = np.linspace(0.0, 1.5, 61)
    best = min(loss(np.array([a, b])) for a in grid for b in grid)
    assert found == pytest.approx(best, abs=1e-4)
    assert found <= best + 1e-9


@settings(max_examples=15)
@given(st.integers(0, 1_000), st.integers(2, 5))
def test_the_mean_is_no_worse_than_each_of_them_calibrated(seed: int, classes: int) -> None:
    said, labels = some(seed, 60, classes)
    found = nll(weighted(said, fit_weights(said, labels)), labels)
    for one in said:
        temperature = fit_temperature(one, labels)
        # What the weight of one alone would add for being far from the other's.
        shrinkage = SHRINKAGE / temperature**2 / 2 / (2 * len(labels))
        assert found <= nll(with_temperature(one, temperature), labels) + shrinkage + 1e-6


def test_two_that_err_on_different_documents_are_better_together() -> None:
    said, labels = some(2)
    other, others = some(3)
    weights = fit_weights(said, labels)
    assert (weights > 0.05).all()
    right = [(one.argmax(axis=1) == others).mean() for one in (*other, weighted(other, weights))]
    assert right[2] > max(right[:2])


def test_one_that_says_nothing_has_no_weight_and_two_of_them_are_alike() -> None:
    said, labels = some(4)
    nothing = np.full_like(said[0], 1.0 / 3.0)
    assert fit_weights([said[0], nothing], labels)[0] > 0.1
    # What contradicts the labels is left out; no weight is below zero.
    wrong = np.eye(3)[(labels + 1) % 3] * 0.9 + 0.1 / 3.0
    weights = fit_weights([said[0], wrong], labels)
    assert weights[1] == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(fit_weights([wrong, wrong], labels), [0.5, 0.5])


def test_the_order_of_the_classifiers_does_not_matter() -> None:
    said, labels = some(5)
    np.testing.assert_allclose(fit_weights(said, labels), fit_weights(said[::-1], labels)[::-1], atol=1e-4)


def test_sure_zeros_are_no_infinity() -> None:
    labels = np.array([0, 1, 1, 0])
    sure = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    half = np.full((4, 2), 0.5)
    weights = fit_weights([sure, half], labels)
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weighted([sure, half], weights).sum(axis=1), 1.0)

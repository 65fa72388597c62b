"""LogME and the H-score against what defines them, computed in other ways."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.linear_model import BayesianRidge, LinearRegression

from rnnlm.evaluation.transferability import h_score, logme, standardised

SEEDS = st.integers(0, 2**31)


def sample(seed: int, documents: int, width: int, classes: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return features whose means differ by class, and the classes."""
    generator = np.random.default_rng(seed)
    labels = np.arange(documents) % classes
    means = strength * generator.normal(size=(classes, width))
    mixing = generator.normal(size=(width, width))
    return (means[labels] + generator.normal(size=(documents, width))) @ mixing, labels


def maximised(features: np.ndarray, labels: np.ndarray) -> float:
    """Maximise the density of the labels, less their mean, under their normal distribution directly, class by class."""
    # An orthonormal basis of all that is orthogonal to a constant.
    basis = np.linalg.svd(np.ones((1, len(labels))))[2][1:]
    f, found = basis @ features, []
    for label in np.unique(labels):
        y = basis @ (labels == label)

        def loss(logs: np.ndarray, y: np.ndarray = y) -> float:
            covariance = np.eye(len(y)) * np.exp(-logs[1]) + f @ f.T * np.exp(-logs[0])
            squares = float(y @ np.linalg.solve(covariance, y))
            return 0.5 * float(np.linalg.slogdet(2.0 * np.pi * covariance)[1] + squares)

        starts = ([a, b] for a in (0.0, 6.0) for b in (0.0, 3.0))
        found.append(min(minimize(loss, start, method="Nelder-Mead", options={"fatol": 1e-9}).fun for start in starts))
    return -float(np.mean(found)) / len(labels)


@pytest.mark.parametrize(("documents", "width", "classes"), [(30, 4, 2), (30, 5, 3), (60, 8, 4), (14, 20, 2)])
def test_logme_is_the_maximum_of_the_evidence(documents: int, width: int, classes: int) -> None:
    features, labels = sample(1, documents, width, classes, 0.7)
    assert logme(features, labels) == pytest.approx(maximised(features, labels), abs=1e-5)


def test_logme_is_the_evidence_of_bayesian_ridge_regression() -> None:
    features, labels = sample(2, 400, 12, 2, 0.3)
    nothing = dict.fromkeys(("alpha_1", "alpha_2", "lambda_1", "lambda_2"), 0.0)
    model = BayesianRidge(compute_score=True, max_iter=2_000, tol=1e-10, **nothing).fit(features, labels)
    # It does not count the degree of freedom that the intercept takes.
    assert logme(features, labels) == pytest.approx(model.scores_[-1] / 400, abs=2.0 / 400)


def test_labels_that_features_tell_nothing_of_have_the_evidence_of_noise_alone() -> None:
    labels = np.arange(40) % 2
    features = np.repeat(np.random.default_rng(3).normal(size=(20, 3)), 2, axis=0)  # the same for both classes
    assert logme(features, labels) == pytest.approx(-0.5 * 39 / 40 * np.log(2 * np.pi * np.e * 10 / 39), abs=1e-6)


def test_features_that_do_not_vary_have_it_too() -> None:
    labels = np.arange(40) % 2
    noise = -0.5 * 39 / 40 * np.log(2 * np.pi * np.e * 10 / 39)
    assert logme(np.ones((40, 3), np.float32), labels) == pytest.approx(noise)


def test_features_that_are_the_labels_have_a_finite_evidence() -> None:
    labels = np.arange(40) % 2
    assert 5.0 < logme(labels[:, None].astype(np.float32), labels) < 100.0


@given(seed=SEEDS, classes=st.integers(2, 4))
def test_features_that_part_the_classes_score_higher_than_with_permuted_labels(seed: int, classes: int) -> None:
    features, labels = sample(seed, 120, 6, classes, 3.0)
    permuted = np.random.default_rng(seed).permutation(labels)
    assert logme(features, labels) > logme(features, permuted)
    assert h_score(features, labels) > h_score(features, permuted)
    some = ledoit_wolf_shrinkage(features)
    assert h_score(features, labels, some) > h_score(features, permuted, some)


@given(seed=SEEDS)
def test_logme_does_not_depend_on_rotation_scale_and_offset(seed: int) -> None:
    features, labels = sample(seed, 60, 5, 3, 1.0)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    assert logme(7.0 * features @ rotation + 3.0, labels) == pytest.approx(logme(features, labels), abs=1e-5)


def test_h_score_is_its_definition() -> None:
    features, labels = sample(4, 90, 7, 3, 0.5)
    expected = np.stack([features[labels == label].mean(axis=0) for label in labels])  # E[f | y] of each document
    definition = np.trace(np.linalg.pinv(np.cov(features.T)) @ np.cov(expected.T))
    assert h_score(features, labels) == pytest.approx(definition)


def test_h_score_of_two_classes_is_the_r2_of_a_linear_regression() -> None:
    features, labels = sample(5, 200, 9, 2, 0.2)
    assert h_score(features, labels) == pytest.approx(LinearRegression().fit(features, labels).score(features, labels))


@given(seed=SEEDS)
def test_h_score_does_not_depend_on_invertible_maps(seed: int) -> None:
    features, labels = sample(seed, 80, 4, 3, 1.0)
    generator = np.random.default_rng(seed)
    left, right = (np.linalg.qr(generator.normal(size=(4, 4)))[0] for _ in range(2))
    mapping = left @ np.diag(generator.uniform(0.2, 5.0, 4)) @ right
    assert h_score(features @ mapping + 1.0, labels) == pytest.approx(h_score(features, labels), rel=1e-6)


@given(seed=SEEDS, classes=st.integers(2, 4), shrinkage=st.floats(0.0, 1.0))
def test_h_score_lies_between_zero_and_the_classes_less_one(seed: int, classes: int, shrinkage: float) -> None:
    features, labels = sample(seed, 40, 6, classes, 1.0)
    assert -1e-9 <= h_score(features, labels, shrinkage) <= classes - 1 + 1e-9


def test_shrinkage_keeps_few_documents_from_looking_perfect() -> None:
    generator = np.random.default_rng(6)
    features, labels = generator.normal(size=(50, 80)), np.arange(50) % 2
    assert h_score(features, labels) == pytest.approx(1.0)
    assert h_score(features, labels, ledoit_wolf_shrinkage(features)) < 0.3


def test_standardised_features_have_mean_0_and_variance_1_unless_they_do_not_vary() -> None:
    features = np.random.default_rng(7).normal(3.0, 5.0, (50, 4)).astype(np.float32)
    features[:, 2] = 1.1
    found = standardised(features)
    assert found.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert found.std(axis=0) == pytest.approx([1.0, 1.0, 0.0, 1.0])

"""Heads that are solved, against scikit-learn and against their own conditions of an optimum."""

import numpy as np
import pytest

from rnnlm.model.heads import ClassHead, NumberHead
from rnnlm.settings import ClassifierTraining, RegressorTraining
from rnnlm.training import linear_head
from rnnlm.training.linear_head import Linear, solve

GENERATOR = np.random.default_rng(1)
STATES = GENERATOR.normal(size=(120, 7)).astype(np.float32)
TRUE = GENERATOR.normal(size=(7, 3))
CLASSES = (STATES @ TRUE + GENERATOR.gumbel(size=(120, 3))).argmax(axis=1)


def zero(outputs: int) -> Linear:
    return Linear(np.zeros((7, outputs)), np.zeros(outputs))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("strength", [0.001, 0.1, 10.0])
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_classes_are_solved_as_by_scikit_learn(classes: int, strength: float, weights: str) -> None:
    from sklearn.linear_model import LogisticRegression

    labels = np.minimum(CLASSES, classes - 1)
    head = ClassHead(ClassifierTraining.model_validate({"class_weights": weights}), classes)
    labels = head.prepare(labels)
    found = solve(head, STATES, labels, zero(head.outputs), zero(head.outputs), strength)
    model = LogisticRegression(
        C=strength, tol=1e-9, max_iter=10_000, class_weight="balanced" if weights == "balanced" else None
    ).fit(STATES.astype(np.float64), labels)
    logits = STATES @ found.kernel + found.bias
    expected = STATES @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(logits - logits.mean(1, keepdims=True) * (classes > 2), expected, atol=2e-3)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("strength", [1e-6, 0.001, 1.0, 1e6])
def test_both_searches_find_the_same(monkeypatch: pytest.MonkeyPatch, classes: int, strength: float) -> None:
    head = ClassHead(ClassifierTraining(label_smoothing=0.05), classes)
    labels, states = head.prepare(np.minimum(CLASSES, classes - 1)), STATES.astype(np.float64)
    start = Linear(GENERATOR.normal(size=(7, head.outputs)), np.zeros(head.outputs))
    logits = []
    for largest in (10_000, 0):
        monkeypatch.setattr(linear_head, "WEIGHTS_OF_NEWTON", largest)
        found = solve(head, states, labels, start, zero(head.outputs), strength)
        logits.append(states @ found.kernel + found.bias)
    first, second = (one - one.mean(axis=1, keepdims=True) * (classes > 2) for one in logits)
    np.testing.assert_allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_penalty_draws_to_the_start(classes: int) -> None:
    """At the optimum the gradient of the loss is balanced by the distance to the start; far from labels it stays."""
    labels = np.minimum(CLASSES, classes - 1)
    head = ClassHead(ClassifierTraining(label_smoothing=0.1), classes)
    labels = head.prepare(labels)
    start = Linear(GENERATOR.normal(size=(7, head.outputs)), np.zeros(head.outputs))
    found = solve(head, STATES, labels, start, start, 0.05)
    logits = STATES.astype(np.float64) @ found.kernel + found.bias
    said = 1 / (1 + np.exp(-logits)) if classes == 2 else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    errors = said - head.targets(labels)
    np.testing.assert_allclose(STATES.T @ errors, (start.kernel - found.kernel) / 0.05, atol=2e-3)
    np.testing.assert_allclose(errors.sum(axis=0), 0.0, atol=2e-3)
    firm = solve(head, STATES, labels, start, zero(head.outputs), 1e-9)
    np.testing.assert_allclose(firm.kernel, start.kernel, atol=1e-4)


@pytest.mark.parametrize("strength", [0.001, 0.1, 10.0])
def test_numbers_are_solved_as_by_scikit_learn(strength: float) -> None:
    from sklearn.linear_model import Ridge

    numbers = 5.0 + STATES @ TRUE[:, 0] + GENERATOR.normal(size=120)
    head = NumberHead(RegressorTraining(), 0)
    labels = head.prepare(numbers)
    found = solve(head, STATES, labels, zero(1), zero(1), strength)
    model = Ridge(alpha=1.0 / strength).fit(STATES.astype(np.float64), labels)
    np.testing.assert_allclose(found.kernel[:, 0], model.coef_, atol=1e-6)
    np.testing.assert_allclose(found.bias, model.intercept_, atol=1e-6)
    start = Linear(TRUE[:, :1], np.zeros(1))
    drawn = solve(head, STATES, labels, start, start, strength)
    rest = labels - STATES @ start.kernel[:, 0]
    np.testing.assert_allclose(
        drawn.kernel[:, 0] - start.kernel[:, 0], Ridge(alpha=1.0 / strength).fit(STATES, rest).coef_, atol=1e-4
    )

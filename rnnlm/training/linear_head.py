"""A head on frozen states, solved to its optimum: a linear model with a penalty that pulls towards a start.

The states are the same at every step, so there is nothing to train: the loss is convex, and L-BFGS (Liu & Nocedal 1989)
finds its minimum. The start is zero, or the head of a source with the same classes: without labels, it would stay as it
is.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

from rnnlm.model.heads import ClassHead, Head, NumberHead

# Inverse strengths of the penalty, as scikit-learn's C: on three hundred to a thousand states, small ones are the best.
STRENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)
ROUNDS = 5_000  # enough that the tolerance ends a search, not this number
# Of the largest derivative of the mean loss, in nats: a thousandth of what one document of ten thousand moves.
TOLERANCE = 1e-7


class Linear(NamedTuple):
    """The weights of a head.

    Attributes:
        kernel: (width, outputs).
        bias: (outputs,), without penalty.
    """

    kernel: np.ndarray
    bias: np.ndarray


def solve(head: Head, states: np.ndarray, labels: np.ndarray, start: Linear, near: Linear, strength: float) -> Linear:
    """Return the head that fits labels best.

    Args:
        head: The head of the target task; it has been prepared for these labels.
        states: (rows, width) what the head sees, of documents or words; float64.
        labels: (rows,) what `head.prepare` returned.
        start: What the penalty pulls towards.
        near: Where the search begins; the solution is the same from anywhere.
        strength: Inverse strength of the penalty.
    """
    if isinstance(head, NumberHead):
        return _ridge(states, labels, start, strength)
    assert isinstance(head, ClassHead)
    return _logistic(states, head.targets(labels), head.weights_of(labels), start, near, strength)


def _ridge(states: np.ndarray, numbers: np.ndarray, start: Linear, strength: float) -> Linear:
    """Minimise sum (y - x W - b)^2 + |W - W_0|^2 / strength; states and numbers are centred, so that b drops out."""
    y = numbers.astype(np.float64)[:, None]
    middle = states.mean(axis=0)
    x = states - middle
    rest = y - y.mean() - x @ start.kernel
    kernel = start.kernel + np.linalg.solve(x.T @ x + np.eye(x.shape[1]) / strength, x.T @ rest)
    return Linear(kernel, y.mean() - middle @ kernel)


def _logistic(
    states: np.ndarray, targets: np.ndarray, weights: np.ndarray, start: Linear, near: Linear, strength: float
) -> Linear:
    """Minimise sum a_i l_i + |W - W_0|^2 / (2 strength), l_i the cross-entropy of one row; all is divided by rows.

    Args:
        states: (rows, width).
        targets: (rows, outputs) wanted probability of each class; of the second alone where there are two.
        weights: (rows,) what each row counts.
        start: W_0; the bias has no penalty.
        near: Where the search begins.
        strength: Inverse strength of the penalty.
    """
    rows, shape = len(states), start.kernel.shape
    binary = shape[1] == 1
    penalty = 1.0 / (strength * rows)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        kernel, bias = flat[: -shape[1]].reshape(shape), flat[-shape[1] :]
        logits = states @ kernel + bias
        if binary:
            of_rows = (np.logaddexp(0.0, logits) - targets * logits)[:, 0]
            errors = expit(logits) - targets
        else:
            of_rows = -(targets * log_softmax(logits, axis=1)).sum(axis=1)
            errors = softmax(logits, axis=1) - targets
        errors *= weights[:, None] / rows
        away = kernel - start.kernel
        gradient = states.T @ errors + penalty * away
        value = float(weights @ of_rows) / rows + 0.5 * penalty * float((away**2).sum())
        return value, np.concatenate([gradient.ravel(), errors.sum(axis=0)])

    begin = np.concatenate([near.kernel.ravel(), near.bias]).astype(np.float64)
    options = {"maxiter": ROUNDS, "gtol": TOLERANCE, "ftol": 0.0}
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", options=options).x
    return Linear(found[: -shape[1]].reshape(shape), found[-shape[1] :])

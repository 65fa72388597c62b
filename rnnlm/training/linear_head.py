"""A head on frozen states, solved to its optimum: a linear model with a penalty that pulls towards a start.

The states are the same at every step, so there is nothing to train: the loss is convex. Newton's method in a trust
region (Conn, Gould & Toint 2000) finds its minimum in a few steps, each with all second derivatives. Where these are
too many, L-BFGS (Liu & Nocedal 1989) does. The start is zero, or the head of a source with the same classes: without
labels, it would stay as it is.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

from rnnlm.model.heads import ClassHead, Head, NumberHead

# Inverse strengths of the penalty, as scikit-learn's C: on three hundred to a thousand states, small ones are the best.
STRENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)
ROUNDS = 5_000  # enough that the tolerance ends a search, not this number
# Of the derivatives of the mean loss, in nats: a thousandth of what one document of ten thousand moves.
TOLERANCE = 1e-7
# Weights of a head up to which all second derivatives are computed: 32 MB of them.
WEIGHTS_OF_NEWTON = 2_000
# Ten are enough. Where rounding hides what a step gains, the method would try ever shorter ones.
STEPS_OF_NEWTON = 100


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
    rows, outputs = len(states), start.kernel.shape[1]
    binary = outputs == 1
    x = np.hstack([states, np.ones((rows, 1))])  # the bias is the last line of the weights
    middle, begin = (np.vstack([one.kernel, one.bias]).astype(np.float64) for one in (start, near))
    penalty = np.full((len(middle), 1), 1.0 / (strength * rows))
    penalty[-1] = 0.0

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        kernel = flat.reshape(middle.shape)
        away, logits = kernel - middle, x @ kernel
        if binary:
            of_rows = (np.logaddexp(0.0, logits) - targets * logits)[:, 0]
            errors = expit(logits) - targets
        else:
            of_rows = -(targets * log_softmax(logits, axis=1)).sum(axis=1)
            errors = softmax(logits, axis=1) - targets
        errors *= weights[:, None] / rows
        value = float(weights @ of_rows) / rows + 0.5 * float((penalty * away**2).sum())
        return value, (x.T @ errors + penalty * away).ravel()

    def second_derivatives(flat: np.ndarray) -> np.ndarray:
        logits = x @ flat.reshape(middle.shape)
        said = expit(logits) if binary else softmax(logits, axis=1)
        found = np.empty((len(middle), outputs, len(middle), outputs))
        for k, n in itertools.combinations_with_replacement(range(outputs), 2):
            of_rows = said[:, k] * ((k == n) - said[:, n]) * weights / rows
            found[:, k, :, n] = found[:, n, :, k] = (x * of_rows[:, None]).T @ x
        if not binary:
            # All biases may rise together without any change. This keeps them from it, and changes no solution.
            found[-1, :, -1, :] += 1.0 / outputs
        flat_found = found.reshape(middle.size, middle.size)
        flat_found[np.diag_indices(middle.size)] += np.repeat(penalty, outputs)
        return flat_found

    place = begin.ravel()
    if middle.size <= WEIGHTS_OF_NEWTON:
        options = {"maxiter": STEPS_OF_NEWTON, "gtol": TOLERANCE}
        place = minimize(loss, place, jac=True, hess=second_derivatives, method="trust-exact", options=options).x
    # Where Newton's method has found the minimum, this sees it at once.
    options = {"maxiter": ROUNDS, "gtol": TOLERANCE, "ftol": 0.0}
    found = minimize(loss, place, jac=True, method="L-BFGS-B", options=options).x.reshape(middle.shape)
    return Linear(found[:-1], found[-1])

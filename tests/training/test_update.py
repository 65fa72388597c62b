import numpy as np
import pytest
import tensorflow as tf
from keras import Variable

from rnnlm.training.update import BETA_2, clipped_update, make_optimizer

RATE, DECAY, CLIP = 0.03, 0.1, 0.5


@pytest.mark.parametrize("compiled", [True, False])
def test_adamw_is_that_of_the_paper(compiled: bool) -> None:
    """Loshchilov & Hutter 2019, algorithm 2, in float64; the decay is decoupled from the gradient's statistics."""
    generator = np.random.default_rng(0)
    shapes = [(5, 3), (4,)]
    weights = [generator.normal(size=shape) for shape in shapes]
    variables = [Variable(w.astype(np.float32)) for w in weights]
    optimizer = make_optimizer("adamw", variables, DECAY)

    def update(*gradients: tf.Tensor) -> tf.Tensor:
        return clipped_update(optimizer, variables, list(gradients), CLIP, tf.constant(RATE))

    run = tf.function(update, autograph=False) if compiled else update
    m, v = [np.zeros(shape) for shape in shapes], [np.zeros(shape) for shape in shapes]
    for t in range(1, 6):
        gradients = [generator.normal(size=shape) for shape in shapes]
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        assert float(run(*(tf.constant(g, tf.float32) for g in gradients))) == pytest.approx(norm, rel=1e-6)
        for n, gradient in enumerate(gradients):
            g = gradient * min(1.0, CLIP / norm)
            m[n] = 0.9 * m[n] + 0.1 * g
            v[n] = BETA_2 * v[n] + (1.0 - BETA_2) * g**2
            step = m[n] / (1.0 - 0.9**t) / np.sqrt(v[n] / (1.0 - BETA_2**t))
            weights[n] = weights[n] - RATE * DECAY * weights[n] - RATE * step
    for variable, expected in zip(variables, weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_gradient_that_is_no_number_changes_nothing() -> None:
    variable = Variable(np.ones(3, np.float32))
    optimizer = make_optimizer("adamw", [variable], DECAY)
    clipped_update(optimizer, [variable], [tf.constant([1.0, -1.0, 1.0])], CLIP, tf.constant(RATE))
    before = [v.numpy().copy() for v in (variable, *optimizer.variables)]
    assert np.isnan(clipped_update(optimizer, [variable], [tf.constant([1.0, np.nan, 0.0])], CLIP, tf.constant(0.1)))
    for value, expected in zip((variable, *optimizer.variables), before, strict=True):
        np.testing.assert_array_equal(value.numpy(), expected)

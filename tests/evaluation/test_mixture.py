import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.evaluation.mixture import mixed, mixture_weight

losses = st.lists(st.tuples(st.floats(0.01, 30.0), st.floats(0.01, 30.0)), min_size=1, max_size=60)


@given(pairs=losses)
def test_a_mixture_is_no_worse_than_either_model_on_the_text_that_chose_its_weight(
    pairs: list[tuple[float, float]],
) -> None:
    first, second = np.array(pairs).T
    weight = mixture_weight(first, second)
    assert 0.0 <= weight <= 1.0
    # Expectation maximisation from the middle climbs, and in a hundred rounds all but arrives.
    assert mixed(first, second, weight).mean() <= min(first.mean(), second.mean()) + 0.02
    assert mixed(first, second, weight).mean() <= mixed(first, second, 0.5).mean() + 1e-9


def test_the_weight_is_the_best_of_a_grid() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.exponential(3.0, (2, 5_000))
    second += 0.5
    grid = np.linspace(0.001, 0.999, 999)
    best = grid[np.argmin([mixed(first, second, weight).mean() for weight in grid])]
    assert mixture_weight(first, second) == pytest.approx(best, abs=0.002)


def test_a_mixture_is_the_mean_of_probabilities() -> None:
    first, second = -np.log([0.5, 0.1]), -np.log([0.1, 0.3])
    np.testing.assert_allclose(np.exp(-mixed(first, second, 0.25)), [0.25 * 0.5 + 0.75 * 0.1, 0.25 * 0.1 + 0.75 * 0.3])

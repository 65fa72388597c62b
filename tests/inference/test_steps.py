"""Reading a text step by step: the kernels alone find what TensorFlow's graph finds."""

from collections.abc import Callable

import numpy as np
import pytest

from rnnlm import kernel
from rnnlm.inference import steps
from rnnlm.inference.steps import CompiledSteps, NativeSteps, States, steps_of
from rnnlm.inference.trained import Trained

Make = Callable[..., Trained]

needs_kernels = pytest.mark.skipif(not kernel.is_usable(), reason="the kernels were not compiled")


def read(model: Trained, reading: steps.Steps) -> tuple[np.ndarray, States]:
    """Read five tokens of a text, then one token more in two ways."""
    layers = model.language_model.encoder.cells
    states = [tuple(np.zeros((1, width), np.float32) for width in layer.state_widths) for layer in layers]
    _, states = reading(np.array([[3], [5], [4], [6], [7]], np.int32), np.array([0]), states)
    return reading(np.array([[5, 8]], np.int32), np.array([0, 0]), states)


@needs_kernels
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_kernels_alone_agree_with_the_graph(trained: Make, cell: str) -> None:
    model = trained("word", cell)
    assert isinstance(steps_of(model.language_model), NativeSteps)
    (found, after), (right, right_after) = (
        read(model, of(model.language_model)) for of in (NativeSteps, CompiledSteps)
    )
    np.testing.assert_allclose(found, right, atol=1e-5)
    for mine, other in zip(after, right_after, strict=True):
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


@needs_kernels
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_large_model_is_quantized(trained: Make, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained("word", cell)
    exact, _ = read(model, NativeSteps(model.language_model))
    monkeypatch.setattr(steps, "LARGE", 0)
    rounded, _ = read(model, NativeSteps(model.language_model))
    assert 0 < np.abs(np.exp(rounded) - np.exp(exact)).max() < 0.01
    np.testing.assert_allclose(np.exp(rounded).sum(axis=1), 1.0, atol=1e-5)


def test_other_models_are_read_by_the_graph(trained: Make, small_groups: None) -> None:
    assert isinstance(steps_of(trained("word", "qrnn").language_model), CompiledSteps)
    assert isinstance(steps_of(trained("word", softmax="adaptive").language_model), CompiledSteps)
    with kernel.switched_off():
        assert isinstance(steps_of(trained("word").language_model), CompiledSteps)

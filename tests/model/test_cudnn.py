"""cuDNN's kernel against our own. `python tests/model/test_cudnn.py` compares them on the GPU that is there."""

import os
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from rnnlm.model import cudnn
from rnnlm.model.lstm import LSTM, _sequence

TIME, BATCH, WIDTH, UNITS = 7, 3, 5, 4
NO_GPU = 77  # exit status of the comparison where TensorFlow finds no GPU


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def as_cudnn_reads_it(
    packed: np.ndarray, x: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The LSTM of cuDNN's manual: W x + R h + b_W + b_R for i, f, c, o, its matrices row by row in one flat array."""
    taken = 0

    def take(*shape: int) -> np.ndarray:
        nonlocal taken
        taken += int(np.prod(shape))
        return packed[taken - int(np.prod(shape)) : taken].reshape(shape).astype(np.float64)

    w = [take(UNITS, WIDTH) for _ in range(4)]
    r = [take(UNITS, UNITS) for _ in range(4)]
    b_w, b_r = ([take(UNITS) for _ in range(4)] for _ in range(2))
    assert taken == len(packed)
    outputs = []
    for t in range(len(x)):
        i, f, g, o = (x[t] @ w[n].T + h @ r[n].T + b_w[n] + b_r[n] for n in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), h, c


def layer_and_arrays() -> tuple[LSTM, list[np.ndarray]]:
    """A layer whose bias is no longer zero, and inputs, output and cell to begin with."""
    layer = LSTM(UNITS, seed=3)
    layer.build((None, None, WIDTH))
    generator = np.random.default_rng(0)
    layer.bias.assign(generator.normal(size=4 * UNITS))
    shapes = ((TIME, BATCH, WIDTH), (BATCH, UNITS), (BATCH, UNITS))
    return layer, [generator.normal(size=shape).astype(np.float32) for shape in shapes]


def weights_of(layer: LSTM) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(w) for w in (layer.kernel, layer.recurrent_kernel, layer.bias)]


def test_packed_weights_read_as_cudnn_reads_them_give_our_outputs() -> None:
    layer, arrays = layer_and_arrays()
    outputs, (h, c) = layer(arrays[0], tuple(arrays[1:]))
    packed = np.array(cudnn.packed_weights(*weights_of(layer)))
    for found, expected in zip((outputs, h, c), as_cudnn_reads_it(packed, *arrays), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def traced(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Any:
    """The graph of an LSTM and its gradients as on a machine with a GPU; it is not run."""
    monkeypatch.setattr(cudnn, "is_usable", lambda: True)
    layer, arrays = layer_and_arrays()

    def run(x: tf.Tensor, h0: tf.Tensor, c0: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, h0, c0])
            outputs, (h, c) = layer(x, (h0, c0), **arguments)
            loss = tf.reduce_sum(tf.cast(outputs, tf.float32)) + tf.reduce_sum(h * c)
        return outputs, h, c, tape.gradient(loss, [x, h0, c0, *(w.value for w in layer.trainable_variables)])

    return tf.function(run, autograph=False).get_concrete_function(*map(tf.constant, arrays))


def operations(graph: Any) -> set[str]:
    return {operation.type for operation in graph.graph.get_operations()}


def test_a_gpu_runs_cudnn_forward_and_backward_in_the_shapes_of_our_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = traced(monkeypatch)
    assert {"CudnnRNNV3", "CudnnRNNBackpropV3"} <= operations(graph)
    assert not {"While", "StatelessWhile"} & operations(graph)
    outputs, h, c, gradients = graph.structured_outputs
    assert outputs.shape == (TIME, BATCH, UNITS)
    assert h.shape == c.shape == (BATCH, UNITS)
    weights = [(WIDTH, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)]
    for gradient, shape in zip(
        gradients, [(TIME, BATCH, WIDTH), (BATCH, UNITS), (BATCH, UNITS), *weights], strict=True
    ):
        assert gradient.shape.is_compatible_with(shape)


@pytest.mark.parametrize("arguments", [{"keep": np.ones((TIME, BATCH, 1), np.float32)}, {"precision": "bfloat16"}])
def test_what_cudnn_cannot_do_is_left_to_our_kernel(arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "CudnnRNNV3" not in operations(traced(monkeypatch, **arguments))


def test_what_is_passed_in_reaches_cudnn_and_what_it_gives_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """DropConnect's recurrent weights, not the layer's own; output and cell in their order, before and after."""
    seen: list[np.ndarray] = []
    given = [np.full((BATCH, UNITS), value, np.float32) for value in (0.1, 0.2, 0.3)]

    def kernel(*arguments: Any) -> tuple[np.ndarray, ...]:
        seen.extend(np.array(argument) for argument in arguments)
        return given[0], given[1], given[2]

    monkeypatch.setattr(cudnn, "is_usable", lambda: True)
    monkeypatch.setattr(cudnn, "lstm", kernel)
    layer, (x, h0, c0) = layer_and_arrays()
    dropped = tf.zeros_like(layer.recurrent_kernel)
    outputs, (h, c) = layer(x, (h0, c0), dropped=dropped)
    for found, expected in zip(seen, (x, layer.kernel, dropped, layer.bias, h0, c0), strict=True):
        np.testing.assert_array_equal(found, np.array(expected))
    for found, expected in zip((outputs, h, c), given, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_without_a_gpu_our_kernel_runs() -> None:
    assert not cudnn.is_usable()


def compare() -> int:
    """Run both kernels on a GPU, and give the exit status."""
    if not cudnn.is_usable():
        return NO_GPU
    # Else products would have 10 bits of mantissa on today's GPUs, and the tolerance would have to be as coarse.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    layer, arrays = layer_and_arrays()
    generator = np.random.default_rng(1)
    upstream = [
        tf.constant(generator.normal(size=shape).astype(np.float32))
        for shape in ((TIME, BATCH, UNITS), (BATCH, UNITS), (BATCH, UNITS))
    ]
    kernel, recurrent, bias = weights_of(layer)
    recurrent *= tf.constant((generator.random(recurrent.shape) > 0.5).astype(np.float32) / 0.5)  # as DropConnect does
    x, h0, c0 = map(tf.constant, arrays)
    inputs = [x, kernel, recurrent, bias, h0, c0]

    def theirs() -> tuple[tf.Tensor, ...]:
        return cudnn.lstm(*inputs)

    def ours() -> tuple[tf.Tensor, ...]:
        outputs, cell = _sequence("float32", reset=False, training=True)(*inputs)
        return outputs, outputs[-1], cell

    results = []
    for run in (theirs, ours):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            found = run()
            loss = tf.add_n([tf.reduce_sum(a * b) for a, b in zip(found, upstream, strict=True)])
        results.append([*found, *tape.gradient(loss, inputs)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    print("cuDNN and our kernel agree:", *(f"{np.abs(a - b).max():.1e}" for a, b in zip(*results, strict=True)))
    return 0


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU")
def test_cudnn_agrees_with_our_kernel_on_a_gpu() -> None:
    """Outputs, states and every gradient. In a process of its own: the GPU is hidden from the others of the tests."""
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    result = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, check=False)
    if result.returncode == NO_GPU:
        pytest.skip("TensorFlow finds no GPU")
    assert result.returncode == 0, result.stderr


if __name__ == "__main__":
    sys.exit(compare())

"""The kernels as TensorFlow's operations, and which of the two is taken."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rnnlm import kernel
from rnnlm.errors import ConfigError
from rnnlm.kernel import library

needs_kernels = pytest.mark.skipif(not kernel.is_usable(), reason="the kernels were not compiled")


@needs_kernels
def test_the_variable_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    load = library.kernel.__wrapped__
    monkeypatch.setenv("RNNLM_KERNEL", "")
    assert load().path in ("avx512", "avx2", "portable")
    monkeypatch.setenv("RNNLM_KERNEL", "tensorflow")
    assert load() == (None, None, None, 0, "RNNLM_KERNEL is tensorflow")
    monkeypatch.setenv("RNNLM_KERNEL", "fast")
    with pytest.raises(ConfigError, match="RNNLM_KERNEL: is 'fast'"):
        load()


def test_without_the_library_tensorflow_computes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(library, "FILE", tmp_path / "librnnlm.so")
    monkeypatch.delenv("RNNLM_KERNEL", raising=False)
    with caplog.at_level("INFO", "rnnlm.training"):
        found = library.kernel.__wrapped__()
    assert found.operations is None
    assert "not compiled" in caplog.text
    monkeypatch.setenv("RNNLM_KERNEL", "native")
    with pytest.raises(ConfigError, match="were not compiled when rnnlm was installed"):
        library.kernel.__wrapped__()


def test_a_broken_library_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "librnnlm.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(library, "FILE", broken)
    monkeypatch.delenv("RNNLM_KERNEL", raising=False)
    assert "cannot be loaded" in library.kernel.__wrapped__().why


@needs_kernels
def test_a_library_of_another_version_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older:
        """As one was before there was a path for bfloat16."""

        def rnnlm_registered(self) -> bool:
            return True

    monkeypatch.setattr("rnnlm.kernel.library.ctypes.CDLL", lambda _: Older())
    monkeypatch.delenv("RNNLM_KERNEL", raising=False)
    assert "of another version of rnnlm" in library.kernel.__wrapped__().why


def test_switched_off_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "kernel", lambda: pytest.fail("loaded"))
    with kernel.switched_off():
        assert not kernel.is_usable()


def test_switched_off_is_for_a_while() -> None:
    before = kernel.is_usable()
    with kernel.switched_off():
        assert not kernel.is_usable()
    assert kernel.is_usable() == before


@needs_kernels
def test_shapes_that_do_not_fit_are_errors_of_tensorflow() -> None:
    zeros = tf.zeros
    weights = [zeros((3, 8)), zeros((2, 8)), zeros((8,))]
    with pytest.raises(tf.errors.InvalidArgumentError, match="shapes of the inputs do not fit"):
        kernel.lstm(zeros((4, 5, 7)), weights, (zeros((5, 2)), zeros((5, 2))), None, training=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="another rank"):
        kernel.lstm(zeros((4, 5, 3)), weights, (zeros((5,)), zeros((5, 2))), None, training=False)


@needs_kernels
@pytest.mark.parametrize("target", [-1, 6])
def test_a_target_out_of_the_vocabulary_is_an_error(target: int) -> None:
    rows = tf.zeros((2, 3)), tf.zeros((6, 3)), tf.zeros((6,)), tf.constant([0, target])
    with pytest.raises(tf.errors.InvalidArgumentError, match="a target is not in the vocabulary"):
        kernel.softmax_nll(*rows)


@needs_kernels
@pytest.mark.parametrize("wrong", [-1, 6])
def test_an_id_out_of_the_vocabulary_is_an_error(wrong: int) -> None:
    weights, state = [tf.zeros((3, 8)), tf.zeros((2, 8)), tf.zeros((8,))], (tf.zeros((1, 2)), tf.zeros((1, 2)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="an id is not in the vocabulary"):
        kernel.lstm(tf.zeros((6, 3)), weights, state, None, training=False, ids=tf.constant([[0], [wrong]]))


@needs_kernels
def test_ids_are_for_evaluations() -> None:
    weights, state = [tf.zeros((3, 8)), tf.zeros((2, 8)), tf.zeros((8,))], (tf.zeros((1, 2)), tf.zeros((1, 2)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="ids are for evaluations in float32"):
        kernel.lstm(tf.zeros((6, 3)), weights, state, None, training=True, ids=tf.constant([[0], [1]]))


@needs_kernels
def test_an_empty_vocabulary_is_an_error() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="the vocabulary is empty"):
        kernel.softmax_sum(tf.zeros((2, 3)), tf.zeros((0, 3)), tf.zeros((0,)), None, tf.ones((2,)))


@needs_kernels
def test_shapes_are_known_when_a_function_is_traced() -> None:
    weights = [tf.zeros((3, 8)), tf.zeros((2, 8)), tf.zeros((8,))]

    def run(x: tf.Tensor) -> tf.Tensor:
        outputs, cell = kernel.lstm(x, weights, (tf.zeros((5, 2)), tf.zeros((5, 2))), None, training=False)
        assert outputs.shape.as_list() == [None, 5, 2]
        assert cell.shape.as_list() == [5, 2]
        return outputs

    traced = tf.function(run, input_signature=[tf.TensorSpec((None, 5, 3))], autograph=False)
    assert traced(tf.zeros((4, 5, 3))).shape == (4, 5, 2)


@needs_kernels
@pytest.mark.parametrize("bfloat16", [False, True])
def test_an_empty_batch_has_gradients_of_zero(bfloat16: bool) -> None:
    if bfloat16 and not kernel.is_usable("bfloat16"):
        pytest.skip("this processor has no path for bfloat16")
    weights = [tf.ones((3, 8)), tf.ones((2, 8)), tf.ones((8,))]
    with tf.GradientTape() as tape:
        tape.watch(weights)
        outputs, _ = kernel.lstm(
            tf.zeros((4, 0, 3)), weights, (tf.zeros((0, 2)), tf.zeros((0, 2))), None, True, bfloat16
        )
        loss = tf.reduce_sum(outputs)
    for gradient in tape.gradient(loss, weights):
        np.testing.assert_array_equal(gradient, np.zeros(gradient.shape))

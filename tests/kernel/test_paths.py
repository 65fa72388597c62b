"""The kernels without TensorFlow, path by path, against float64 NumPy."""

import ctypes
import os
import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.kernel.arrays import Quantized
from rnnlm.kernel.library import FILE, kernel

if not FILE.is_file():
    pytest.skip("the kernels were not compiled: there is no C++ compiler", allow_module_level=True)

kernel()  # TensorFlow must be the first to load the library: it takes the operations that are registered meanwhile
LIBRARY = ctypes.CDLL(str(FILE))
PATHS = [path for path in ("portable", "avx2", "avx512") if LIBRARY.rnnlm_has(path.encode())]
# Their products are in bfloat16.
BFLOAT16 = [path for path in ("avx2_bf16", "avx512_bf16", "amx") if LIBRARY.rnnlm_has(path.encode())]
THREADS = (1, 2, 3)
every_path = pytest.mark.parametrize("path", PATHS)
every_precision = pytest.mark.parametrize("path", PATHS + BFLOAT16)

Arrays = list[np.ndarray]


def structure(sizes: str, arrays: str) -> Any:
    class Arguments(ctypes.Structure):
        _fields_ = [(n, ctypes.c_long) for n in sizes.split()] + [(n, ctypes.c_void_p) for n in arrays.split()]

    def filled(*values: Any) -> Any:
        return ctypes.byref(Arguments(*(v.ctypes.data if isinstance(v, np.ndarray) else v for v in values)))

    return filled


# As in rnnlm/kernel/src/kernels.h.
INT8 = "int8_kernel int8_recurrent kernel_scales recurrent_scales ids"
LSTM = structure("steps batch inputs units rows", f"x kernel recurrent bias h0 c0 keep h cells gates {INT8}")
LSTM_GRADIENT = structure("", "dh dc dx dkernel drecurrent dbias dh0 dc0")
GRU = structure("steps batch inputs units rows", f"x kernel recurrent bias h0 keep h gates {INT8}")
GRU_GRADIENT = structure("", "dh dx dkernel drecurrent dbias dh0")
SOFTMAX = structure("rows vocabulary width", "hidden embeddings bias targets weights nll dhidden dembeddings dbias")
LOGITS = structure("rows vocabulary width", "hidden embeddings bias logits int8_embeddings embeddings_scales")
POOLING = structure("steps size", "forget added before cells")
POOLING_GRADIENT = structure("", "dcells dforget dadded dbefore")


def unwritten(*shape: int) -> np.ndarray:
    """Return an array of NaN: what a kernel forgets to write is seen."""
    return np.full(shape, np.nan, np.float32)


def call(function: str, path: str, threads: int, *arguments: Any) -> None:
    assert getattr(LIBRARY, f"rnnlm_{function}")(path.encode(), threads, *arguments) == 0


def run_lstm(path: str, threads: int, values: Arrays, keep: np.ndarray | None, training: bool = True) -> Arrays:
    """Return outputs, cells and gates; without `training` the last cell, and no gates."""
    x, _, recurrent, *_ = values
    (steps, batch, inputs), units = x.shape, recurrent.shape[0]
    h, cells = unwritten(steps, batch, units), unwritten(steps if training else 1, batch, units)
    gates = unwritten(steps, batch, 4 * units) if training else None
    call("lstm", path, threads, LSTM(steps, batch, inputs, units, 0, *values, keep, h, cells, gates))
    return [h, cells] if gates is None else [h, cells, gates]


def lstm_with_gradient(
    path: str, threads: int, values: Arrays, keep: np.ndarray | None, dh: np.ndarray, dc: np.ndarray
) -> Arrays:
    """Return outputs, last cell, and the gradients of all values."""
    h, cells, gates = run_lstm(path, threads, values, keep)
    (steps, batch, inputs), units = values[0].shape, h.shape[2]
    found = [unwritten(*value.shape) for value in values]
    inputs_again = LSTM(steps, batch, inputs, units, 0, *values, keep, h, cells, gates)
    call("lstm_gradient", path, threads, inputs_again, LSTM_GRADIENT(dh, dc, *found))
    return [h, cells[-1], *found]


def factor(path: str, value: np.ndarray) -> np.ndarray:
    """Return a factor of a product as a path takes it, in float64."""
    return value.astype(ml_dtypes.bfloat16 if path in BFLOAT16 else np.float64).astype(np.float64)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-z)))


def lstm_by_hand(path: str, values: Arrays, keep: np.ndarray | None, dh: np.ndarray, dc: np.ndarray) -> Arrays:
    """Return the same as `lstm_with_gradient`, in float64 but for the factors of products, a step at a time."""
    x, kernel, recurrent = (factor(path, value) for value in values[:3])
    bias, h, c = (value.astype(np.float64) for value in values[3:])
    kept = np.ones((*x.shape[:2], 1)) if keep is None else keep.astype(np.float64)
    steps: list[Any] = []
    outputs = []
    for t in range(len(x)):
        before, cell_before = factor(path, h * kept[t]), c * kept[t]
        i, f, g, o = np.split(x[t] @ kernel + before @ recurrent + bias, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * cell_before + i * g
        h = o * np.tanh(c)
        steps.append((before, cell_before, i, f, g, o, c))
        outputs.append(h)
    last = c
    dx, dkernel, drecurrent, dbias = (np.zeros_like(a) for a in (x, kernel, recurrent, bias))
    back, dcell = np.zeros_like(h), dc.astype(np.float64)
    for t in reversed(range(len(x))):
        before, cell_before, i, f, g, o, c = steps[t]
        back = back + dh[t]
        dcell = dcell + back * o * (1 - np.tanh(c) ** 2)
        dz = np.concatenate(
            [
                dcell * g * i * (1 - i),
                dcell * cell_before * f * (1 - f),
                dcell * i * (1 - g**2),
                back * np.tanh(c) * o * (1 - o),
            ],
            axis=1,
        )
        dz = factor(path, dz)
        dx[t] = dz @ kernel.T
        dkernel += x[t].T @ dz
        drecurrent += before.T @ dz
        dbias += dz.sum(axis=0)
        back, dcell = (dz @ recurrent.T) * kept[t], dcell * f * kept[t]
    return [np.array(outputs), last, dx, dkernel, drecurrent, dbias, back, dcell]


def run_gru(path: str, threads: int, values: Arrays, keep: np.ndarray | None) -> Arrays:
    """Return outputs and gates."""
    x, _, recurrent, *_ = values
    (steps, batch, inputs), units = x.shape, recurrent.shape[0]
    h, gates = unwritten(steps, batch, units), unwritten(steps, batch, 4 * units)
    call("gru", path, threads, GRU(steps, batch, inputs, units, 0, *values, keep, h, gates))
    return [h, gates]


def gru_with_gradient(path: str, threads: int, values: Arrays, keep: np.ndarray | None, dh: np.ndarray) -> Arrays:
    """Return outputs, and the gradients of all values."""
    x, _, recurrent, *_ = values
    (steps, batch, inputs), units = x.shape, recurrent.shape[0]
    (h, gates), alone = run_gru(path, threads, values, keep), unwritten(steps, batch, units)
    arguments = GRU(steps, batch, inputs, units, 0, *values, keep, h, gates)
    call("gru", path, threads, GRU(steps, batch, inputs, units, 0, *values, keep, alone, None))
    np.testing.assert_array_equal(alone, h)  # with what the gradient needs and without
    found = [unwritten(*value.shape) for value in values]
    call("gru_gradient", path, threads, arguments, GRU_GRADIENT(dh, *found))
    return [h, *found]


def gru_by_hand(path: str, values: Arrays, keep: np.ndarray | None, dh: np.ndarray) -> Arrays:
    """Return the same in float64 but for the factors of products, a step at a time."""
    x, kernel, recurrent = (factor(path, value) for value in values[:3])
    bias, h = (value.astype(np.float64) for value in values[3:])
    kept = np.ones((*x.shape[:2], 1)) if keep is None else keep.astype(np.float64)
    steps: list[Any] = []
    outputs = []
    for t in range(len(x)):
        before = h * kept[t]
        a, b = (
            np.split(product, 3, axis=1)
            for product in (x[t] @ kernel + bias[0], factor(path, before) @ recurrent + bias[1])
        )
        z, r, n = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1]), b[2]
        g = np.tanh(a[2] + r * n)
        h = (1 - z) * g + z * before
        steps.append((before, z, r, g, n))
        outputs.append(h)
    found = [np.zeros_like(value) for value in (x, kernel, recurrent, bias)]
    back = np.zeros_like(h)
    for t in reversed(range(len(x))):
        before, z, r, g, n = steps[t]
        back = back + dh[t]
        dg = back * (1 - z) * (1 - g**2)
        dz, dr = back * (before - g) * z * (1 - z), dg * n * r * (1 - r)
        of_input, of_recurrent = np.concatenate([dz, dr, dg], axis=1), np.concatenate([dz, dr, dg * r], axis=1)
        of_input, of_recurrent = factor(path, of_input), factor(path, of_recurrent)
        found[0][t] = of_input @ kernel.T
        found[1] += x[t].T @ of_input
        found[2] += factor(path, before).T @ of_recurrent
        found[3] += [of_input.sum(axis=0), of_recurrent.sum(axis=0)]
        back = (back * z + of_recurrent @ recurrent.T) * kept[t]
    return [np.array(outputs), *found, back]


def run_softmax(path: str, threads: int, values: Arrays, targets: np.ndarray | None, weights: np.ndarray) -> Arrays:
    """Return negative log-likelihoods, and the gradients of hidden states, embeddings and bias."""
    hidden, embeddings, _ = values
    sizes = len(hidden), len(embeddings), hidden.shape[1]
    nll, alone = unwritten(len(hidden)), unwritten(len(hidden))
    found = [unwritten(*value.shape) for value in values]
    call("softmax", path, threads, SOFTMAX(*sizes, *values, targets, weights, nll, *found))
    call("softmax", path, threads, SOFTMAX(*sizes, *values, targets, weights, alone, None, None, None))
    np.testing.assert_array_equal(nll, alone)  # with a gradient and without
    return [nll, *found]


def softmax_by_hand(
    path: str, values: Arrays, targets: np.ndarray | None, weights: np.ndarray
) -> tuple[Arrays, Arrays]:
    """Return the same in float64, but for the factors of the logits; and the sizes of the gradients' terms.

    The target's own logit is exact on every path. The sizes are what the gradients would be if all their terms had the
    same sign, without those of the targets.
    """
    hidden, embeddings, bias = (value.astype(np.float64) for value in values)
    logits = factor(path, values[0]) @ factor(path, values[1]).T + bias
    highest = logits.max(axis=1, keepdims=True)
    exponentials = np.exp(logits - highest)
    sums = exponentials.sum(axis=1, keepdims=True)
    nll, d = (np.log(sums) + highest)[:, 0], exponentials / sums * weights[:, None]
    sizes = [d @ np.abs(embeddings), d.T @ np.abs(hidden), d.sum(axis=0)]
    if targets is not None:
        rows = np.arange(len(hidden))
        nll = nll - (np.sum(hidden * embeddings[targets], axis=1) + bias[targets])
        d[rows, targets] -= weights
    return [nll, d @ embeddings, d.T @ hidden, d.sum(axis=0)], sizes


def tolerance(path: str, of_float32: float) -> float:
    """Return how far a path may be off: in bfloat16 a factor between two numbers may be rounded to the other one."""
    return max(of_float32, 0.005) if path in BFLOAT16 else of_float32


def assert_close(found: Arrays, right: Arrays, tolerance: float, single: float = 1.0) -> None:
    """Compare by the size of what each array holds: a gradient is a sum of many terms that cancel.

    Args:
        found: What a kernel wrote.
        right: What is right.
        tolerance: How far the numbers of an array may be off in the mean.
        single: How many times as far a single one may be off.
    """
    for mine, expected in zip(found, right, strict=True):
        scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
        np.testing.assert_allclose(mine / scale, expected / scale, rtol=0, atol=tolerance * single)
        if mine.size:
            assert np.mean(np.abs(mine - expected)) <= tolerance * scale


def cascade(path: str) -> float:
    """Return `single` for a recurrent layer.

    In bfloat16 one state that is rounded to the other side moves later ones, and some of those then are rounded to the
    other side too. Of 1,500 layers, the single worst number was off by 0.021.
    """
    return 10.0 if path in BFLOAT16 else 1.0


def some(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return (generator.normal(size=shape) * 0.3).astype(np.float32)


def lstm_case(steps: int, batch: int, inputs: int, units: int, seed: int) -> tuple[Arrays, np.ndarray, Arrays]:
    """Return the values of a layer, resets, and the gradients from above."""
    r = np.random.default_rng(seed)
    shapes = [(steps, batch, inputs), (inputs, 4 * units), (units, 4 * units), (4 * units,)]
    values = [some(r, *shape) for shape in (*shapes, (batch, units), (batch, units))]
    keep = (r.random((steps, batch, 1)) > 0.2).astype(np.float32)
    return values, keep, [some(r, steps, batch, units), some(r, batch, units)]


odd = st.integers(1, 200)
seeds = st.integers(0, 2**32 - 1)


@every_precision
@settings(max_examples=40)
@given(steps=st.integers(1, 12), batch=st.integers(1, 40), inputs=odd, units=odd, resets=st.booleans(), seed=seeds)
def test_an_lstm_of_any_size_agrees_with_float64(
    path: str, steps: int, batch: int, inputs: int, units: int, resets: bool, seed: int
) -> None:
    values, keep, above = lstm_case(steps, batch, inputs, units, seed)
    results = [lstm_with_gradient(path, n, values, keep if resets else None, *above) for n in THREADS]
    right = lstm_by_hand(path, values, keep if resets else None, *above)
    assert_close(results[0][:2], right[:2], tolerance(path, 1e-5), cascade(path))
    assert_close(results[0][2:], right[2:], tolerance(path, 1e-4), cascade(path))
    for other in results[1:]:  # the same bits for any number of threads
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    outputs, cell = run_lstm(path, 2, values, keep if resets else None, training=False)
    np.testing.assert_array_equal(outputs, results[0][0])
    np.testing.assert_array_equal(cell[0], results[0][1])


@every_precision
@settings(max_examples=30)
@given(steps=st.integers(1, 12), batch=st.integers(1, 40), inputs=odd, units=odd, resets=st.booleans(), seed=seeds)
def test_a_gru_of_any_size_agrees_with_float64(
    path: str, steps: int, batch: int, inputs: int, units: int, resets: bool, seed: int
) -> None:
    r = np.random.default_rng(seed)
    shapes = [(steps, batch, inputs), (inputs, 3 * units), (units, 3 * units), (2, 3 * units), (batch, units)]
    values = [some(r, *shape) for shape in shapes]
    keep = (r.random((steps, batch, 1)) > 0.2).astype(np.float32) if resets else None
    above = some(r, steps, batch, units)
    results = [gru_with_gradient(path, n, values, keep, above) for n in THREADS]
    right = gru_by_hand(path, values, keep, above)
    assert_close(results[0][:1], right[:1], tolerance(path, 1e-5), cascade(path))
    assert_close(results[0][1:], right[1:], tolerance(path, 1e-4), cascade(path))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@every_path
@settings(max_examples=40)
@given(
    steps=st.integers(1, 12), batch=st.integers(1, 40), inputs=odd, units=odd, rows=st.integers(1, 300),
    quantized=st.booleans(), seed=seeds,
)  # fmt: skip
def test_rows_of_a_table_have_the_bits_of_rows_for_each_step(
    path: str, steps: int, batch: int, inputs: int, units: int, rows: int, quantized: bool, seed: int
) -> None:
    values, keep, _ = lstm_case(steps, batch, inputs, units, seed)
    r = np.random.default_rng(seed)
    table, ids = some(r, rows, inputs), r.integers(0, rows, (steps, batch)).astype(np.int32)
    sizes = steps, batch, inputs, units
    gru_weights = [some(r, inputs, 3 * units), some(r, units, 3 * units), some(r, 2, 3 * units)]
    for structure, name, weights, states in (
        (LSTM, "lstm", values[1:4], values[4:]),
        (GRU, "gru", gru_weights, values[4:5]),
    ):
        narrow = [Quantized.of(w, 0) for w in weights[:2]] if quantized else []
        whole = [None, None] if quantized else weights[:2]
        int8_ = [w.numbers for w in narrow] + [w.scales for w in narrow] if quantized else [None] * 4
        found = []
        for x, of, n in [(table[ids], None, 1), *((table, ids, n) for n in THREADS)]:
            outputs = [unwritten(steps, batch, units), *([unwritten(batch, units)] if name == "lstm" else [])]
            given_ones = x, *whole, weights[2], *states, keep, *outputs, None, *int8_, of
            call(name, path, n, structure(*sizes, len(table), *given_ones))
            found.append(outputs)
        for other in found[1:]:
            for a, b in zip(found[0], other, strict=True):
                np.testing.assert_array_equal(a, b)


@every_precision
@settings(max_examples=40)
@given(
    rows=st.integers(0, 600), vocabulary=st.integers(1, 400), width=odd, targets=st.booleans(),
    spread=st.sampled_from([0.3, 3.0, 200.0]), seed=seeds,
)  # fmt: skip
def test_a_softmax_of_any_size_agrees_with_float64(
    path: str, rows: int, vocabulary: int, width: int, targets: bool, spread: float, seed: int
) -> None:
    """Logits that leave float32's exponential (a spread of 200) are like any other, but for their own rounding."""
    rounding = max(1.0, spread / 10)
    r = np.random.default_rng(seed)
    bias = (r.normal(size=vocabulary) * spread).astype(np.float32)
    values = [some(r, rows, width), some(r, vocabulary, width), bias]
    of_rows = r.integers(0, vocabulary, rows).astype(np.int32) if targets and rows else None
    weights = (r.random(rows) > 0.3).astype(np.float32)
    results = [run_softmax(path, n, values, of_rows, weights) for n in THREADS]
    right, sizes = softmax_by_hand(path, values, of_rows, weights)
    assert_close(results[0][:1], right[:1], tolerance(path, 1e-5) * rounding)
    for mine, expected, size in zip(results[0][1:], right[1:], sizes, strict=True):
        # In bfloat16 both factors of a term are rounded, each by up to 1/256 of its size, and the same words and rows
        # always in the same direction: 2/256 and a little.
        of_terms = size / 127 if path in BFLOAT16 else 0.0
        scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
        assert np.all(np.abs(mine - expected) <= of_terms + 1e-4 * rounding * scale)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@every_precision
@settings(max_examples=15)
@given(rows=st.integers(2, 300), vocabulary=st.integers(2, 300), width=odd, seed=seeds)
def test_a_row_far_from_the_others_changes_none_of_their_bits(
    path: str, rows: int, vocabulary: int, width: int, seed: int
) -> None:
    """Its logits leave float32's exponential, so it is done over; the others are not."""
    r = np.random.default_rng(seed)
    values = [some(r, rows, width), some(r, vocabulary, width), some(r, vocabulary)]
    weights, far = np.ones(rows, np.float32), int(r.integers(rows))
    nll, dhidden, *_ = run_softmax(path, 2, values, None, weights)
    values[0][far] *= 1e5
    with_it = run_softmax(path, 2, values, None, weights)
    others = np.arange(rows) != far
    np.testing.assert_array_equal(with_it[0][others], nll[others])
    np.testing.assert_array_equal(with_it[1][others], dhidden[others])
    right, _ = softmax_by_hand(path, values, None, weights)
    np.testing.assert_allclose(with_it[0][far], right[0][far], rtol=1e-4)


@every_precision
def test_rows_are_done_over_in_a_vocabulary_of_several_parts(path: str) -> None:
    """The words of a row are done some at a time: 1,024 in bfloat16, 256 in float32."""
    r = np.random.default_rng(0)
    rows, vocabulary, width = 150, 2_500, 20
    values = [some(r, rows, width), some(r, vocabulary, width), some(r, vocabulary)]
    values[0][::7] *= 300.0
    targets, weights = r.integers(0, vocabulary, rows).astype(np.int32), np.ones(rows, np.float32)
    found = run_softmax(path, 2, values, targets, weights)
    right, sizes = softmax_by_hand(path, values, targets, weights)
    np.testing.assert_allclose(found[0], right[0], rtol=1e-3, atol=tolerance(path, 1e-5) * 10)
    for mine, expected, size in zip(found[1:], right[1:], sizes, strict=True):
        scale = max(1.0, float(np.abs(expected).max()))
        # The logits of those rows are large, and so is what their own rounding does.
        assert np.all(np.abs(mine - expected) <= (size / 127 if path in BFLOAT16 else 0.0) + 2e-3 * scale)


@every_precision
def test_chunks_of_a_large_vocabulary_add_up(path: str) -> None:
    r = np.random.default_rng(0)
    # With a gradient a chunk has 576 rows at most.
    rows, vocabulary, width = 700, 70_000, 5
    values = [some(r, rows, width), some(r, vocabulary, width), some(r, vocabulary)]
    targets, weights = r.integers(0, vocabulary, rows).astype(np.int32), np.ones(rows, np.float32)
    found = run_softmax(path, 2, values, targets, weights)
    assert_close(found, softmax_by_hand(path, values, targets, weights)[0], tolerance(path, 1e-5))


@every_precision
@settings(max_examples=30)
@given(steps=st.integers(1, 20), size=st.integers(1, 300), seed=seeds)
def test_pooling_of_any_size_agrees_with_float64(path: str, steps: int, size: int, seed: int) -> None:
    r = np.random.default_rng(seed)
    forget, added, before = r.random((steps, size)).astype(np.float32), some(r, steps, size), some(r, size)
    above = some(r, steps, size)
    cells, found = unwritten(steps, size), [unwritten(steps, size), unwritten(steps, size), unwritten(size)]
    call("pooling", path, 2, POOLING(steps, size, forget, added, before, cells), None)
    arguments = POOLING(steps, size, forget, added, before, cells), POOLING_GRADIENT(above, *found)
    call("pooling", path, 2, *arguments)
    c, right = before.astype(np.float64), []
    for t in range(steps):
        c = forget[t] * c + added[t]
        right.append(c)
    dforget, dadded, dc = np.zeros((steps, size)), np.zeros((steps, size)), np.zeros(size)
    for t in reversed(range(steps)):
        dc = dc + above[t]
        dforget[t], dadded[t] = dc * (right[t - 1] if t else before), dc
        dc = dc * forget[t]
    assert_close([cells], [np.array(right)], 1e-5)
    assert_close(found, [dforget, dadded, dc], 1e-5)


@every_path
def test_pooling_has_the_same_bits_for_any_number_of_threads(path: str) -> None:
    r = np.random.default_rng(0)
    steps, size = 20, 60_001  # enough for three threads to be worth it
    forget, added, before = r.random((steps, size)).astype(np.float32), some(r, steps, size), some(r, size)
    above, results = some(r, steps, size), []
    for threads in THREADS:
        cells, *found = unwritten(steps, size), unwritten(steps, size), unwritten(steps, size), unwritten(size)
        arguments = POOLING(steps, size, forget, added, before, cells)
        call("pooling", path, threads, arguments, None)
        call("pooling", path, threads, arguments, POOLING_GRADIENT(above, *found))
        results.append([cells, *found])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@every_precision
@pytest.mark.parametrize(("run", "gates"), [(run_lstm, 4), (run_gru, 3)])
@pytest.mark.parametrize("batch", [1, 3, 30])
def test_few_rows_have_the_same_bits_as_many(path: str, run: Any, gates: int, batch: int) -> None:
    """A row's result does not depend on the rows beside it, nor on how the weights are read for so few rows."""
    r = np.random.default_rng(0)
    steps, inputs, units = 2, 37, 53
    x, *state = some(r, steps, 60, inputs), *(some(r, 60, units) for _ in range(gates - 2))
    bias = some(r, 4 * units) if gates == 4 else some(r, 2, 3 * units)
    weights = [some(r, inputs, gates * units), some(r, units, gates * units), bias]

    def outputs(rows: int) -> np.ndarray:
        values = [np.ascontiguousarray(x[:, :rows]), *weights, *(part[:rows].copy() for part in state)]
        return np.asarray(run(path, 2, values, None)[0])

    np.testing.assert_array_equal(outputs(batch), outputs(60)[:, :batch])


@every_precision
@pytest.mark.parametrize("batch", [1, 2, 13])
def test_a_long_sequence_of_few_rows_agrees_with_float64(path: str, batch: int) -> None:
    values, keep, above = lstm_case(300, batch, 40, 70, batch)
    for threads in THREADS:
        outputs, cell = run_lstm(path, threads, values, keep, training=False)
        right = lstm_by_hand(path, values, keep, *above)
        assert_close([outputs, cell[0]], right[:2], tolerance(path, 1e-5), cascade(path))


sizes = st.integers(1, 120)


@every_path
@settings(max_examples=40)
@given(lstm=st.booleans(), steps=st.integers(1, 12), batch=st.integers(1, 40), inputs=sizes, units=sizes, seed=seeds)
def test_quantized_weights_are_their_integers_times_their_scales(
    path: str, lstm: bool, steps: int, batch: int, inputs: int, units: int, seed: int
) -> None:
    r, gates = np.random.default_rng(seed), 4 if lstm else 3
    x, state = some(r, steps, batch, inputs), [some(r, batch, units) for _ in range(2 if lstm else 1)]
    narrow = [Quantized.of(some(r, n, gates * units), 0) for n in (inputs, units)]
    bias = some(r, 4 * units) if lstm else some(r, 2, 3 * units)
    keep = (r.random((steps, batch, 1)) > 0.2).astype(np.float32)
    values = [x, *(one.numbers * one.scales for one in narrow), bias, *state]
    above = some(r, steps, batch, units), some(r, batch, units)
    right, *_ = lstm_by_hand(path, values, keep, *above) if lstm else gru_by_hand(path, values, keep, above[0])
    found = []
    for threads in THREADS:
        h, cells = unwritten(steps, batch, units), [unwritten(batch, units)] if lstm else []
        pointers = [one.numbers for one in narrow] + [one.scales for one in narrow]
        call(
            *("lstm" if lstm else "gru", path, threads),
            (LSTM if lstm else GRU)(
                *(steps, batch, inputs, units, 0, x, None, None, bias, *state, keep, h, *cells, None, *pointers)
            ),
        )
        found.append(h)
    assert_close(found[:1], [right], 1e-5)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@every_precision
@settings(max_examples=40)
@given(rows=st.integers(0, 20), vocabulary=st.integers(1, 400), width=odd, seed=seeds)
def test_logits_of_any_size_agree_with_float64(path: str, rows: int, vocabulary: int, width: int, seed: int) -> None:
    r = np.random.default_rng(seed)
    hidden, bias, narrow = some(r, rows, width), some(r, vocabulary), Quantized.of(some(r, vocabulary, width), 1)
    embeddings = narrow.numbers * narrow.scales[:, None]
    right = hidden.astype(np.float64) @ embeddings.astype(np.float64).T + bias
    for arrays in ((embeddings, bias, None, None), (None, bias, narrow.numbers, narrow.scales)):
        found = []
        for threads in THREADS:
            logits = unwritten(rows, vocabulary)
            call("logits", path, threads, LOGITS(rows, vocabulary, width, hidden, *arrays[:2], logits, *arrays[2:]))
            found.append(logits)
        assert_close(found[:1], [right], 1e-5)
        for other in found[1:]:
            np.testing.assert_array_equal(other, found[0])


@every_precision
def test_nan_stays_nan(path: str) -> None:
    values, _, above = lstm_case(3, 4, 5, 6, 0)
    values[0][1, 2, 3] = np.nan
    outputs, *_ = lstm_with_gradient(path, 2, values, None, *above)
    assert np.isnan(outputs[1:, 2]).all()
    assert np.isfinite(outputs[:, [0, 1, 3]]).all()
    r = np.random.default_rng(0)
    softmax = [some(r, 9, 5), some(r, 70, 5), some(r, 70)]
    softmax[0][4, 1] = np.inf
    nll, dhidden, *_ = run_softmax(path, 2, softmax, np.zeros(9, np.int32), np.ones(9, np.float32))
    assert not np.isfinite(nll[4])
    assert not np.isfinite(dhidden[4]).all()
    assert np.isfinite(np.delete(nll, 4)).all()


@every_precision
def test_large_inputs_saturate_the_gates(path: str) -> None:
    values, _, _ = lstm_case(2, 3, 4, 5, 0)
    values[0][:] = 1e4
    assert np.isfinite(run_lstm(path, 1, values, None)[0]).all()


def test_an_unknown_path_is_refused() -> None:
    assert LIBRARY.rnnlm_lstm(b"sse9", 1, LSTM(0, 0, 0, 0, 0, *[None] * 10)) == 1


@pytest.mark.parametrize("path", [*PATHS[-1:], *BFLOAT16[-1:]])
def test_callers_at_the_same_time_get_the_same_bits(path: str) -> None:
    values, keep, above = lstm_case(9, 16, 60, 70, 1)
    expected = lstm_with_gradient(path, 2, values, keep, *above)
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            found = lstm_with_gradient(path, 2, values, keep, *above)
            if not all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_computes_too() -> None:
    """It has none of the threads that slept in its parent."""
    values, keep, above = lstm_case(9, 16, 60, 70, 1)
    expected = lstm_with_gradient(PATHS[-1], 2, values, keep, *above)
    child = os.fork()
    if child == 0:
        same = False
        try:
            found = lstm_with_gradient(PATHS[-1], 2, values, keep, *above)
            same = all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        finally:
            os._exit(0 if same else 3)  # never back into pytest
    assert os.waitpid(child, 0)[1] == 0

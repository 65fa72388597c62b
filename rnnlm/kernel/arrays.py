"""The kernels as functions of NumPy arrays, without TensorFlow between: for a model that is read a token at a time."""

import ctypes
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnlm.kernel.library import FILE, kernel


def _structure(sizes: str, arrays: str) -> type[ctypes.Structure]:
    class Arguments(ctypes.Structure):
        _fields_ = [
            *((name, ctypes.c_long) for name in sizes.split()),
            *((name, ctypes.c_void_p) for name in arrays.split()),
        ]

    return Arguments


# As in src/kernels.h.
_INT8 = "int8_kernel int8_recurrent kernel_scales recurrent_scales ids"
LSTM = _structure("steps batch inputs units rows", f"x kernel recurrent bias h0 c0 keep h cells gates {_INT8}")
GRU = _structure("steps batch inputs units rows", f"x kernel recurrent bias h0 keep h gates {_INT8}")
LOGITS = _structure("rows vocabulary width", "hidden embeddings bias logits int8_embeddings embeddings_scales")


@dataclass(frozen=True)
class Quantized:
    """A matrix in int8: each column, or each row, is integers times a scale.

    Attributes:
        numbers: Integers from -127 to 127, int8, in the shape of the matrix.
        scales: float32, one for each column or row.
    """

    numbers: np.ndarray
    scales: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray, axis: int) -> "Quantized":
        """Round a matrix, so that the largest number with each scale is 127.

        Args:
            matrix: float32.
            axis: The axis that a scale is for: 0 for each column, 1 for each row.
        """
        scales = np.abs(matrix).max(axis=axis, keepdims=True) / np.float32(127)
        scales[scales == 0] = 1  # of zeros alone
        return cls(np.rint(matrix / scales).astype(np.int8), scales.squeeze(axis))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the matrix."""
        return self.numbers.shape

    def __len__(self) -> int:
        return len(self.numbers)


Matrix = np.ndarray | Quantized


def rows(matrix: Matrix, of: np.ndarray) -> np.ndarray:
    """Return rows of a matrix, which has a scale for each row if it is in int8, in float32."""
    if isinstance(matrix, Quantized):
        return np.asarray(matrix.numbers[of] * matrix.scales[of][..., None])
    return np.asarray(matrix[of])


@functools.cache
def _library() -> Any:
    kernel()  # TensorFlow must be the first to load it
    return ctypes.CDLL(str(FILE))


def _call(
    function: str, arguments: ctypes.Structure, inputs: dict[str, Matrix], outputs: dict[str, np.ndarray]
) -> None:
    """Call a kernel.

    Args:
        function: Its name.
        arguments: Its sizes.
        inputs: Arrays by name. Weights in int8 go where the kernel wants them.
        outputs: Arrays that are written, by name.
    """
    kept = {}  # arrays must live as long as the call
    for name, value in inputs.items():
        of_kernel = (
            {f"int8_{name}": value.numbers, f"{name}_scales": value.scales}
            if isinstance(value, Quantized)
            else {name: value}
        )
        for place, array in of_kernel.items():
            if array.dtype != (np.int8 if place.startswith("int8_") else np.float32):
                raise TypeError(f"{name} is of the type {array.dtype}")
            kept[place] = contiguous = np.ascontiguousarray(array)
            setattr(arguments, place, contiguous.ctypes.data)
    for name, array in outputs.items():
        setattr(arguments, name, array.ctypes.data)
    found = kernel()
    assert found.path is not None
    getattr(_library(), f"rnnlm_{function}")(found.path.encode(), found.threads, ctypes.byref(arguments))


def lstm(x: np.ndarray, weights: tuple[Matrix, ...], state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Run an LSTM layer over a sequence.

    Args:
        x: (time, batch, width) float32.
        weights: Kernel (width, 4 units) and recurrent kernel (units, 4 units), both in float32 or both in int8
            with a scale for each column, and bias (4 units) in float32; gates in Keras' order.
        state: Output and cell before the first step, each (batch, units) float32.

    Returns:
        The outputs (time, batch, units), and the last cell (batch, units).
    """
    steps, batch, width = x.shape
    units = len(weights[1])
    outputs, cell = np.empty((steps, batch, units), np.float32), np.empty((batch, units), np.float32)
    inputs = _inputs(x, weights, state, 4, (4 * units,))
    _call("lstm", LSTM(steps, batch, width, units), inputs, {"h": outputs, "cells": cell})
    return outputs, cell


def gru(x: np.ndarray, weights: tuple[Matrix, ...], state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Run a GRU layer over a sequence.

    Args:
        x: (time, batch, width) float32.
        weights: Kernel (width, 3 units) and recurrent kernel (units, 3 units), both in float32 or both in int8
            with a scale for each column, and bias (2, 3 units) in float32; gates in Keras' order.
        state: Output before the first step, (batch, units) float32.

    Returns:
        The outputs (time, batch, units).
    """
    steps, batch, width = x.shape
    units = len(weights[1])
    outputs = np.empty((steps, batch, units), np.float32)
    inputs = _inputs(x, weights, state, 3, (2, 3 * units))
    _call("gru", GRU(steps, batch, width, units), inputs, {"h": outputs})
    return (outputs,)


def _inputs(
    x: np.ndarray, weights: tuple[Matrix, ...], state: tuple[np.ndarray, ...], gates: int, bias: tuple[int, ...]
) -> dict[str, Matrix]:
    """Return the inputs of a layer by name, after a look at their shapes: the kernel trusts them."""
    (_, batch, width), units = x.shape, len(weights[1])
    shapes = [(width, gates * units), (units, gates * units), bias, *((batch, units) for _ in state)]
    if isinstance(weights[0], Quantized) != isinstance(weights[1], Quantized):
        raise TypeError("one of the kernels is in int8, and the other in float32")
    if [array.shape for array in (*weights, *state)] != shapes:
        raise ValueError(f"weights and states have the shapes {[a.shape for a in (*weights, *state)]}, not {shapes}")
    for matrix in weights[:2]:
        _check_scales(matrix, matrix.shape[1])
    arrays = (x, *weights, *state)
    return dict(zip(("x", "kernel", "recurrent", "bias", "h0", "c0"), arrays, strict=False))


def _check_scales(matrix: Matrix, count: int) -> None:
    if isinstance(matrix, Quantized) and matrix.scales.shape != (count,):
        raise ValueError(f"the scales have the shape {matrix.scales.shape}, not {(count,)}")


def logits(hidden: np.ndarray, embeddings: Matrix, bias: np.ndarray) -> np.ndarray:
    """Return the logit of every token after few rows of hidden states, (rows, vocabulary).

    Args:
        hidden: (rows, width) float32.
        embeddings: (vocabulary, width), in float32, or in int8 with a scale for each row.
        bias: (vocabulary,) float32.
    """
    (rows, width), vocabulary = hidden.shape, len(bias)
    if embeddings.shape != (vocabulary, width):
        raise ValueError(f"the embedding has the shape {embeddings.shape}, not {(vocabulary, width)}")
    _check_scales(embeddings, vocabulary)
    found = np.empty((rows, vocabulary), np.float32)
    inputs = {"hidden": hidden, "embeddings": embeddings, "bias": bias}
    _call("logits", LOGITS(rows, vocabulary, width), inputs, {"logits": found})
    return found

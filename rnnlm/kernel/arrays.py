"""The kernels as functions of NumPy arrays, without TensorFlow between: for a model that is read a token at a time."""

import ctypes
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from rnnlm.kernel.library import FILE, kernel


def _structure(sizes: str, arrays: str) -> type[ctypes.Structure]:
    class Arguments(ctypes.Structure):
        _fields_ = [
            *((name, ctypes.c_long) for name in sizes.split()),
            *((name, ctypes.c_void_p) for name in arrays.split()),
        ]

    return Arguments


# As in src/kernels.h.
LSTM = _structure(
    "steps batch inputs units", "x kernel recurrent bias h0 c0 keep h cells gates half_kernel half_recurrent"
)
GRU = _structure("steps batch inputs units", "x kernel recurrent bias h0 keep h gates half_kernel half_recurrent")
LOGITS = _structure("rows vocabulary width", "hidden embeddings bias logits half_embeddings")


@functools.cache
def _library() -> Any:
    kernel()  # TensorFlow must be the first to load it
    return ctypes.CDLL(str(FILE))


def _call(function: str, arguments: ctypes.Structure, inputs: dict[str, np.ndarray], outputs: Any) -> None:
    """Call a kernel.

    Args:
        function: Its name.
        arguments: Its sizes.
        inputs: Arrays by name. Weights in bfloat16 go where the kernel wants them.
        outputs: Arrays that are written, by name.
    """
    kept = {}  # arrays must live as long as the call
    fields = {field[0] for field in arguments._fields_}
    for name, value in inputs.items():
        place = name if value.dtype == np.float32 else f"half_{name}"
        if place not in fields or (place != name and value.dtype != tf.bfloat16.as_numpy_dtype):
            raise TypeError(f"{name} is of the type {value.dtype}")
        kept[name] = array = np.ascontiguousarray(value)
        setattr(arguments, place, array.ctypes.data)
    for name, array in outputs.items():
        setattr(arguments, name, array.ctypes.data)
    found = kernel()
    assert found.path is not None
    getattr(_library(), f"rnnlm_{function}")(found.path.encode(), found.threads, ctypes.byref(arguments))


def lstm(x: np.ndarray, weights: tuple[np.ndarray, ...], state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Run an LSTM layer over a sequence.

    Args:
        x: (time, batch, width) float32.
        weights: Kernel (width, 4 units) and recurrent kernel (units, 4 units), both in float32 or both in bfloat16, and
            bias (4 units) in float32; gates in Keras' order.
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


def gru(x: np.ndarray, weights: tuple[np.ndarray, ...], state: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Run a GRU layer over a sequence.

    Args:
        x: (time, batch, width) float32.
        weights: Kernel (width, 3 units) and recurrent kernel (units, 3 units), both in float32 or both in bfloat16, and
            bias (2, 3 units) in float32; gates in Keras' order.
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
    x: np.ndarray, weights: tuple[np.ndarray, ...], state: tuple[np.ndarray, ...], gates: int, bias: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Return the inputs of a layer by name, after a look at their shapes: the kernel trusts them."""
    (_, batch, width), units = x.shape, len(weights[1])
    shapes = [(width, gates * units), (units, gates * units), bias, *((batch, units) for _ in state)]
    if weights[0].dtype != weights[1].dtype:
        raise TypeError(f"the kernels are of the types {weights[0].dtype} and {weights[1].dtype}")
    if [array.shape for array in (*weights, *state)] != shapes:
        raise ValueError(f"weights and states have the shapes {[a.shape for a in (*weights, *state)]}, not {shapes}")
    arrays = (x, *weights, *state)
    return dict(zip(("x", "kernel", "recurrent", "bias", "h0", "c0"), arrays, strict=False))


def logits(hidden: np.ndarray, embeddings: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the logit of every token after few rows of hidden states, (rows, vocabulary).

    Args:
        hidden: (rows, width) float32.
        embeddings: (vocabulary, width), in float32 or bfloat16.
        bias: (vocabulary,) float32.
    """
    (rows, width), vocabulary = hidden.shape, len(bias)
    if embeddings.shape != (vocabulary, width):
        raise ValueError(f"the embedding has the shape {embeddings.shape}, not {(vocabulary, width)}")
    found = np.empty((rows, vocabulary), np.float32)
    inputs = {"hidden": hidden, "embeddings": embeddings, "bias": bias}
    _call("logits", LOGITS(rows, vocabulary, width), inputs, {"logits": found})
    return found

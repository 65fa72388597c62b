"""Kernels in native code: recurrences and the exact softmax, in float32 on a CPU. README.md describes them."""

from rnnlm.kernel.library import described, is_usable, switched_off
from rnnlm.kernel.operations import gru, lstm, pooling, softmax_nll, softmax_sum

__all__ = ["described", "gru", "is_usable", "lstm", "pooling", "softmax_nll", "softmax_sum", "switched_off"]

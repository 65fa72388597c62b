"""The compiled library: whether it is there, whether it is wanted, and which instructions it takes."""

import contextlib
import contextvars
import ctypes
import functools
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from rnnlm.errors import ConfigError

logger = logging.getLogger("rnnlm.training")

FILE = Path(__file__).with_name("librnnlm.so")
VARIABLE = "RNNLM_KERNEL"  # native or tensorflow
OPERATIONS = (
    *("rnnlm_lstm", "rnnlm_lstm_gradient", "rnnlm_gru", "rnnlm_gru_gradient"),
    *("rnnlm_softmax", "rnnlm_pooling", "rnnlm_pooling_gradient"),
)

_off = contextvars.ContextVar("off", default=False)


class Kernel(NamedTuple):
    """The kernels of this process.

    Attributes:
        operations: TensorFlow's module with them; None if TensorFlow's own operations are used.
        path: The instructions that they use: avx512, avx2 or portable; None if TensorFlow's operations are used.
        bfloat16: The same for products in bfloat16: amx, avx512_bf16 or avx2_bf16; None if TensorFlow computes these.
        threads: How many threads they use at most.
        why: Why TensorFlow's own operations are used; empty if they are not.
    """

    operations: Any
    path: str | None
    bfloat16: str | None
    threads: int
    why: str


@functools.cache
def kernel() -> Kernel:
    """Load the library, once a process.

    Raises:
        ConfigError: If $RNNLM_KERNEL asks for something else than there is.
    """
    asked = os.environ.get(VARIABLE) or ""
    if asked not in ("", "native", "tensorflow"):
        raise ConfigError(f"is {asked!r}", where=VARIABLE, remedy="Set it to native or tensorflow, or leave it out.")
    found = _load() if asked != "tensorflow" else _without(f"{VARIABLE} is tensorflow")
    if asked == "native" and found.why:
        raise ConfigError(
            f"is native, but {found.why}",
            where=VARIABLE,
            remedy="Leave it out, or see rnnlm/kernel/README.md for what the kernels need.",
        )
    if found.why and not asked:
        logger.info("TensorFlow's operations train the models: %s", found.why)
    return found


def _without(why: str) -> Kernel:
    return Kernel(None, None, None, 0, why)


def _load() -> Kernel:
    if tf.config.get_visible_devices("GPU"):
        return _without("there is a GPU")
    if sys.platform != "linux":
        return _without("the faster kernels need Linux")
    if not FILE.is_file():
        return _without("the faster kernels were not compiled when rnnlm was installed; they need a C++ compiler")
    try:
        operations = tf.load_op_library(str(FILE))
        library = ctypes.CDLL(str(FILE))
    except (tf.errors.OpError, OSError) as error:
        return _without(f"the faster kernels cannot be loaded ({error})")
    complete = all(hasattr(operations, name) for name in OPERATIONS) and hasattr(library, "rnnlm_logits")
    if not (complete and library.rnnlm_registered()):
        return _without(
            f"the faster kernels do not fit TensorFlow {tf.__version__}, or are of another version of rnnlm"
        )
    library.rnnlm_path.restype = library.rnnlm_bfloat16_path.restype = ctypes.c_char_p
    bfloat16 = library.rnnlm_bfloat16_path()
    return Kernel(
        operations, library.rnnlm_path().decode(), bfloat16 and bfloat16.decode(), library.rnnlm_threads(), ""
    )


def described() -> str:
    """Return a line on what computes here, and why."""
    found = kernel()
    if found.why:
        return f"TensorFlow's operations: {found.why}"
    return f"native, {found.path}, for bfloat16 {found.bfloat16 or 'TensorFlow'}, {found.threads} threads"


def is_usable(precision: str = "float32") -> bool:
    """Return whether the kernels are there and wanted, for products in this precision."""
    if _off.get():
        return False
    found = kernel()
    return not found.why and (precision == "float32" or found.bfloat16 is not None)


@contextlib.contextmanager
def switched_off() -> Iterator[None]:
    """Use TensorFlow's own operations inside this block. An exported graph must not need the library."""
    token = _off.set(True)
    try:
        yield
    finally:
        _off.reset(token)

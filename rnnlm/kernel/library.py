"""The compiled library: whether it is there, whether it is wanted, and which instructions it takes."""

import contextlib
import contextvars
import ctypes
import functools
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from rnnlm.errors import ConfigError

logger = logging.getLogger("rnnlm.training")

FILE = Path(__file__).with_name("librnnlm.so")
VARIABLE = "RNNLM_KERNEL"  # native or tensorflow

_off = contextvars.ContextVar("off", default=False)


class Kernel(NamedTuple):
    """The kernels of this process.

    Attributes:
        operations: TensorFlow's module with them; None if TensorFlow's own operations are taken.
        path: Instructions that they take: avx512, avx2 or portable; None likewise.
        threads: How many threads they take at most.
        why: Why TensorFlow's own operations are taken; empty if they are not.
    """

    operations: Any
    path: str | None
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
        raise ConfigError(
            f"{VARIABLE} is {asked!r}", where=VARIABLE, remedy="Set it to native or tensorflow, or leave it out."
        )
    found = _load() if asked != "tensorflow" else Kernel(None, None, 0, f"{VARIABLE} is tensorflow")
    if asked == "native" and found.why:
        raise ConfigError(
            f"{VARIABLE} is native, but {found.why}",
            where=VARIABLE,
            remedy="Install a C++ compiler and the package again (`make install`), or leave the variable out.",
        )
    if found.why and not asked:
        logger.info("TensorFlow's operations train the models: %s. The project's own kernels are faster.", found.why)
    return found


def _load() -> Kernel:
    if not FILE.is_file():
        return Kernel(None, None, 0, "the kernels were not compiled when rnnlm was installed")
    if tf.config.get_visible_devices("GPU"):
        return Kernel(None, None, 0, "there is a GPU")
    try:
        operations = tf.load_op_library(str(FILE))
        library = ctypes.CDLL(str(FILE))
    except (tf.errors.OpError, OSError) as error:
        return Kernel(None, None, 0, f"the kernels cannot be loaded ({error})")
    if not library.rnnlm_registered():
        return Kernel(None, None, 0, f"TensorFlow {tf.__version__} does not take the kernels")
    library.rnnlm_path.restype = ctypes.c_char_p
    return Kernel(operations, library.rnnlm_path().decode(), library.rnnlm_threads(), "")


def described() -> str:
    """Return a line on what computes here, and why."""
    found = kernel()
    if found.why:
        return f"TensorFlow's operations: {found.why}"
    return f"native, {found.path}, {found.threads} threads"


def is_usable() -> bool:
    """Return whether the kernels are there and wanted."""
    return not _off.get() and not kernel().why


@contextlib.contextmanager
def switched_off() -> Iterator[None]:
    """Take TensorFlow's own operations meanwhile: a graph that leaves this machine must do without the library."""
    token = _off.set(True)
    try:
        yield
    finally:
        _off.reset(token)

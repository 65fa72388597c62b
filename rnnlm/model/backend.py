"""How TensorFlow is set, wherever models are made: other settings would give other bits, or other speeds."""

import os
import sys

from rnnlm.errors import ConfigError

# They count when TensorFlow and Keras are imported first. What the user has set is left as it is.
TENSORFLOW = {
    # Keras would otherwise follow a file in the user's home folder.
    "KERAS_BACKEND": "tensorflow",
    # Fatal errors alone: the others come as exceptions too, but for those that are none (a machine without a GPU).
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # TensorFlow takes this library by itself only where there is AVX-512; with AVX2 it trains a fifth faster too.
    "TF_ENABLE_ONEDNN_OPTS": "1",
}


# Parameters of glibc's mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for its next arrays.

    glibc returns a large array to the system as soon as it is freed, and the next one is fetched and cleared page by
    page. A training makes and frees the same arrays at each step. It is for processes of our own: what was used once is
    not there for others until the process ends. Where the user has set the allocator, or there is no glibc, nothing is
    changed.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or os.environ.get("GLIBC_TUNABLES"):
        return
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS and musl have none; on Windows there is no such library
        return
    # Large arrays are parts of the heap, not maps of their own, and the heap's end is not returned (-1: at no size).
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)


def prepare() -> None:
    """Set TensorFlow, before its first import.

    Raises:
        ConfigError: If Keras was imported before, with another backend.
    """
    for name, value in TENSORFLOW.items():
        os.environ[name] = os.environ.get(name) or value
    keras = sys.modules.get("keras")
    if keras is not None and (backend := keras.config.backend()) != "tensorflow":
        raise ConfigError(
            f"Keras was imported with the backend {backend}, and the models here need TensorFlow.",
            where="KERAS_BACKEND",
            remedy="Set KERAS_BACKEND=tensorflow before the first import of Keras.",
        )

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

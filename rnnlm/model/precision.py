"""The type that large matrix products are computed in; weights, element-wise functions and sums stay in float32."""

from typing import Literal

import tensorflow as tf

Precision = Literal["float32", "bfloat16"]

_TYPES = {"float32": tf.float32, "bfloat16": tf.bfloat16}


def product_type(precision: Precision) -> tf.DType:
    """Return the type of the factors and results of TensorFlow's products; the sum inside is in float32 for both."""
    return _TYPES[precision]


def float32(x: tf.Tensor) -> tf.Tensor:
    """Return a tensor in float32."""
    return tf.cast(x, tf.float32)

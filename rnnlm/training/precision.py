"""`precision: auto`: which type of product is faster on this machine, by a short measurement."""

import functools
import logging
import time

import tensorflow as tf

from rnnlm.config import Model
from rnnlm.model import cudnn
from rnnlm.model.precision import Precision, product_type

logger = logging.getLogger("rnnlm.training")

ROUNDS = 5
# bfloat16 must be this much faster: it costs digits, and a measurement has noise.
MARGIN = 1.2


def choose_precision(asked: str, model: Model, vocabulary_size: int, batch_size: int, window: int) -> Precision:
    """Give the type of the products: the one asked for, or for `auto` the one that is measured to be faster.

    Args:
        asked: auto, float32 or bfloat16.
        model: Widths.
        vocabulary_size: Number of tokens.
        batch_size: Rows side by side.
        window: Time steps.
    """
    if asked != "auto":
        return "bfloat16" if asked == "bfloat16" else "float32"
    if cudnn.is_usable():
        return "float32"  # the type of cuDNN's kernel here
    width = max(model.hidden if model.layers > 1 else 0, model.embedding)
    return _faster(batch_size, batch_size * min(window, 64), width, model.embedding, vocabulary_size)


@functools.cache
def _faster(batch: int, rows: int, hidden: int, embedding: int, vocabulary: int) -> Precision:
    """Measure the product of one time step and the product of the softmax, as often as a window has them."""
    seconds = {}
    chunk = min(vocabulary, 10_000)  # a part of a large vocabulary tells as much, in less time
    for precision in ("float32", "bfloat16"):
        dtype = product_type(precision)
        h, recurrent = tf.ones((batch, hidden), dtype), tf.ones((hidden, 4 * hidden), dtype)
        outputs, embeddings = tf.ones((rows, embedding), dtype), tf.ones((chunk, embedding), dtype)
        steps = rows // batch

        @tf.function(autograph=False)
        def products(h=h, recurrent=recurrent, outputs=outputs, embeddings=embeddings, steps=steps):  # type: ignore[no-untyped-def]
            def step(t, total):  # type: ignore[no-untyped-def]
                # The sum makes each product wait for the one before, as in the recurrence.
                return t + 1, total + tf.matmul(h + total, recurrent)[0, 0]

            _, total = tf.while_loop(lambda t, _: t < steps, step, (0, tf.zeros((), h.dtype)), parallel_iterations=1)
            return total, tf.matmul(outputs, embeddings, transpose_b=True)[0, 0]

        products()  # traced, and the library's kernels made
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            products()[1].numpy()
            times.append(time.perf_counter() - began)
        seconds[precision] = min(times)
    ratio = seconds["float32"] / seconds["bfloat16"]
    chosen: Precision = "bfloat16" if ratio > MARGIN else "float32"
    logger.info("precision: %s (products in bfloat16 take 1/%.2f of the time in float32 here)", chosen, ratio)
    return chosen

"""`precision: auto`: which type of product is faster on this machine, by a short measurement."""

import functools
import hashlib
import json
import logging
import os
import platform
import tempfile
import time
from pathlib import Path

import tensorflow as tf

from rnnlm.model import cudnn
from rnnlm.model.precision import Precision, product_type
from rnnlm.settings import Model
from rnnlm.store import home

logger = logging.getLogger("rnnlm.training")

ROUNDS = 5
# bfloat16 must be this much faster: it costs digits, and a measurement has noise.
MARGIN = 1.2


def choose_precision(asked: str, model: Model, vocabulary_size: int, batch_size: int, window: int) -> Precision:
    """Return the type of the products: the one asked for, or for `auto` the one that is measured to be faster.

    What was measured is kept in the workplace, under `precision/`: where both are about as fast, another measurement
    might find otherwise, and the same training would end with other bits.

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
    """Return what was measured for these sizes on this machine, now or earlier."""
    measured = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "tensorflow": tf.__version__,
        "sizes": [batch, rows, hidden, embedding, vocabulary],
    }
    key = hashlib.sha256(json.dumps(measured).encode()).hexdigest()[:32]
    kept = home() / "precision" / f"{key}.json"
    if not kept.is_file():
        ratio = _ratio(batch, rows, hidden, embedding, vocabulary)
        chosen: Precision = "bfloat16" if ratio > MARGIN else "float32"
        _keep(kept, json.dumps(measured | {"ratio": round(ratio, 2), "precision": chosen}, indent=1))
    found = json.loads(kept.read_text(encoding="utf-8"))
    logger.info(
        "precision: %s (products in bfloat16 take 1/%.2f of the time in float32 here)",
        found["precision"],
        found["ratio"],
    )
    return "bfloat16" if found["precision"] == "bfloat16" else "float32"


def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _keep(path: Path, text: str) -> None:
    """Write a file whole, unless another process has written it meanwhile: the first one counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent) as file:
        file.write(text)
        file.flush()
        Path(file.name).chmod(0o644)  # others may share the workplace
        try:
            os.link(file.name, path)
        except FileExistsError:
            pass
        except OSError:  # there are disks without links
            path.write_text(text, encoding="utf-8")


def _ratio(batch: int, rows: int, hidden: int, embedding: int, vocabulary: int) -> float:
    """Measure how much faster bfloat16 is, in the products of the recurrence and of the softmax of a window."""
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
    return seconds["float32"] / seconds["bfloat16"]

"""`precision: auto`: which type of product is faster on this machine, by a short measurement."""

import functools
import hashlib
import json
import logging
import math
import os
import platform
import time
import uuid
from pathlib import Path
from typing import Any

import tensorflow as tf

from rnnlm.kernel.library import kernel
from rnnlm.model import cudnn
from rnnlm.model.encoder import CELLS
from rnnlm.model.precision import Precision, float32
from rnnlm.model.softmax import tied_cross_entropy
from rnnlm.settings import Model
from rnnlm.store import home, read_json

logger = logging.getLogger("rnnlm.training")

ROUNDS = 5
# Where bfloat16 is this slow, one round says enough.
HOPELESS = 0.8
STEPS = 16  # of the window: enough to tell, and bfloat16 is slow where the processor has no instructions for it
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
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
    return _faster(model.cell, batch_size, min(window, STEPS), width, model.embedding, vocabulary_size)


@functools.cache
def _faster(cell: str, batch: int, steps: int, hidden: int, embedding: int, vocabulary: int) -> Precision:
    """Return what was measured for these sizes on this machine, now or earlier."""
    measured = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "tensorflow": tf.__version__,
        "kernels": [kernel().path, kernel().bfloat16, kernel().threads],
        "cell": cell,
        "sizes": [batch, steps, hidden, embedding, vocabulary],
    }
    key = hashlib.sha256(json.dumps(measured).encode()).hexdigest()[:32]
    kept = home() / "precision" / f"{key}.json"
    if (found := _kept(kept)) is None:
        ratio = _ratio(cell, batch, steps, hidden, embedding, vocabulary)
        chosen: Precision = "bfloat16" if ratio > MARGIN else "float32"
        found = measured | {"ratio": round(ratio, 2), "precision": chosen}
        _keep(kept, json.dumps(found, indent=1))
        found = _kept(kept) or found
    logger.info(
        "precision: %s (a step in bfloat16 takes 1/%.2f of the time in float32 here)",
        found["precision"],
        found["ratio"],
    )
    return "bfloat16" if found["precision"] == "bfloat16" else "float32"


def _kept(path: Path) -> dict[str, Any] | None:
    """Return what was measured earlier, or None. A file that says nothing is removed."""
    try:
        found = read_json(path)
        return {"precision": str(found["precision"]), "ratio": float(found["ratio"])}
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        path.unlink(missing_ok=True)
        return None


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
    new = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        new.write_text(text, encoding="utf-8")
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        except OSError:  # there are disks without links
            new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _ratio(cell: str, batch: int, steps: int, hidden: int, embedding: int, vocabulary: int) -> float:
    """Measure how much faster bfloat16 is, in a recurrent layer and the softmax, forward and backward."""
    chunk = min(vocabulary, 10_000)  # a part of a large vocabulary tells as much, in less time
    layer = CELLS[cell](hidden, 0, 1)
    layer.build((None, None, hidden))
    inputs, outputs = tf.fill((steps, batch, hidden), 0.1), tf.fill((steps * batch, embedding), 0.1)
    embeddings, bias = tf.fill((chunk, embedding), 0.1), tf.zeros(chunk)
    targets, weights = tf.zeros(steps * batch, tf.int32), tf.ones(steps * batch)

    def step(precision: Precision) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([inputs, outputs, embeddings])
            recurrent, _ = layer(inputs, precision=precision)
            nll = tied_cross_entropy(outputs, embeddings, bias, targets, weights, precision)
            loss = tf.reduce_sum(float32(recurrent)) + nll
        gradients = tape.gradient(loss, [inputs, layer.kernel.value, outputs, embeddings])
        return [gradient[0, 0] for gradient in gradients]

    traced = tf.function(step, autograph=False)
    fastest = dict.fromkeys(PRECISIONS, math.inf)
    for measured in range(-1, ROUNDS):
        for precision in PRECISIONS:
            began = time.perf_counter()
            [found.numpy() for found in traced(precision)]
            if measured >= 0:  # the first time it is traced, and the libraries make their kernels
                fastest[precision] = min(fastest[precision], time.perf_counter() - began)
        if measured >= 0 and fastest["float32"] / fastest["bfloat16"] < HOPELESS:
            break
    return fastest["float32"] / fastest["bfloat16"]

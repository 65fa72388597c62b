"""What the measured programs share: their task, their data, the clock. It needs only NumPy, because peers use it too.

Each program gets its task as JSON on the command line, warms up, runs its rounds and prints one line of JSON.
`benchmarks.speed` starts them one after the other.
"""

import importlib.metadata
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

CLIP_NORM = 1.0
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class Task:
    """What one program does.

    Attributes:
        vocabulary: Number of tokens.
        embedding: Width of the embedding and of the last LSTM layer.
        hidden: Width of the LSTM layers before the last.
        layers: Number of LSTM layers.
        batch: Rows of a window, or documents of a batch.
        window: Time steps of a window, or the most tokens of a document.
        documents: Documents of a pass; 0 for running text.
        precision: float32 or bfloat16 (of the products; each engine's own mixed precision).
        variant: The engine's own way to do the same, if it has several. The fastest one counts.
        part: training or evaluation.
        warmup: Steps before the clock starts. They include compilation.
        rounds: How many rounds are measured.
        steps: Training steps of a round (or passes over the documents).
    """

    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    batch: int
    window: int
    documents: int
    precision: str
    variant: str
    part: str
    warmup: int
    rounds: int
    steps: int


def read_task() -> Task:
    """Return the task on the command line."""
    return Task(**json.loads(sys.argv[1]))


def windows(task: Task, count: int, generator: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return windows of random tokens and their targets, each (batch, window), int64.

    Token i is drawn with a probability proportional to 1 / (i + 1), Zipf's law. An adaptive softmax costs time for rare
    targets alone, so it needs targets that are as rare as those of a text; the other engines do the same work for all.
    """
    for _ in range(count):
        stream = zipf(task.vocabulary, (task.batch, task.window + 1), generator)
        yield stream[:, :-1], stream[:, 1:]


def zipf(vocabulary: int, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Return tokens that are drawn by Zipf's law."""
    cumulated = np.cumsum(1.0 / np.arange(1, vocabulary + 1))
    drawn = generator.random(shape) * cumulated[-1]
    return np.minimum(np.searchsorted(cumulated, drawn, side="right"), vocabulary - 1)


def zipf_entropy(vocabulary: int) -> float:
    """Return the entropy of the tokens of `windows`, in nats."""
    shares = 1.0 / np.arange(1, vocabulary + 1)
    shares /= shares.sum()
    return float(-(shares * np.log(shares)).sum())


def measure_steps(task: Task, step: Callable[[np.ndarray, np.ndarray], float], *libraries: str) -> None:
    """Time the training steps of a language model and print the tokens per second of each round.

    Args:
        task: What is measured.
        step: Does one complete training step with tokens and targets, each (batch, window), and then returns the loss.
        libraries: Packages whose versions belong to the result.
    """
    generator = np.random.default_rng(1)
    loss = 0.0
    for tokens, targets in windows(task, task.warmup, generator):
        loss = step(tokens, targets)
    rates = []
    for _ in range(task.rounds):
        data = list(windows(task, task.steps, generator))
        begin = time.perf_counter()
        for tokens, targets in data:
            loss = step(tokens, targets)
        rates.append(task.steps * task.batch * task.window / (time.perf_counter() - begin))
    finish(rates, loss, *libraries)


def finish(rates: list[float], loss: float | None, *libraries: str) -> None:
    """Print the result of a program.

    Args:
        rates: The rate per second in each round.
        loss: The last loss, which shows that the engines train the same thing. None if there is none.
        libraries: Packages whose versions belong to the result.
    """
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    versions = {library: importlib.metadata.version(library) for library in libraries}
    print(json.dumps({"rates": rates, "loss": loss, "peak_bytes": peak, "versions": versions}))


@dataclass(frozen=True)
class Documents:
    """Labelled documents of tokens that are drawn by Zipf's law. Document i is `ids[offsets[i]:offsets[i + 1]]`."""

    ids: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray


# Roughly the spread of lengths of film and product reviews: most are short, and a long tail is cut off.
MEDIAN_TOKENS, SPREAD, SHORTEST = 120, 0.6, 8
FIRST_WORD = 4  # smaller ids are the special tokens: padding and document marks of both engines


def documents(task: Task, seed: int) -> Documents:
    """Return random documents with log-normal lengths (at most `task.window`) and one of two labels."""
    generator = np.random.default_rng(seed)
    drawn = generator.lognormal(np.log(MEDIAN_TOKENS), SPREAD, task.documents)
    lengths = np.clip(drawn, SHORTEST, task.window).astype(np.int64)
    return Documents(
        ids=FIRST_WORD + zipf(task.vocabulary - FIRST_WORD, (lengths.sum(),), generator),
        offsets=np.concatenate(([0], np.cumsum(lengths))),
        labels=generator.integers(0, 2, task.documents),
    )

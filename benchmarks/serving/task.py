"""The input of both engines: sizes and made-up texts. It needs only NumPy."""

import json
import sys
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Serving:
    """What one program does.

    Attributes:
        embedding: Width of the embedding and of the last layer.
        hidden: Width of the layers before the last.
        layers: Number of layers.
        vocabulary: Number of words.
        texts: Texts to classify.
        words: Words of a text.
        calls: Completions that are timed.
        prefix: Words of the text that is completed.
        completed: Words that are written.
    """

    embedding: int
    hidden: int
    layers: int
    vocabulary: int = 10_000
    texts: int = 200
    words: int = 200
    calls: int = 100
    prefix: int = 20
    completed: int = 3


def read() -> Serving:
    """Return the task on the command line."""
    return Serving(**json.loads(sys.argv[1]))


def lexicon(task: Serving) -> list[str]:
    """Return different words of three to nine letters, one for each place in the vocabulary."""
    generator = np.random.default_rng(1)
    found: dict[str, None] = {}
    while len(found) < task.vocabulary:
        letters = generator.integers(97, 123, generator.integers(3, 10)).astype(np.uint8)
        found[letters.tobytes().decode()] = None
    return list(found)


def texts(task: Serving, count: int, words: int, seed: int) -> list[str]:
    """Return texts of words that are drawn uniformly.

    Args:
        task: The vocabulary.
        count: The number of texts.
        words: The number of words of each.
        seed: The seed. Another seed gives other texts.
    """
    known = np.array(lexicon(task))
    drawn = np.random.default_rng(seed).integers(0, len(known), (count, words))
    return [" ".join(row) for row in known[drawn]]

"""Streams of random numbers, one for each seed and purpose, none of which has anything to do with another.

Seeds that are added up repeat each other: with `seed + 1` for the second block of weights, seed 1 has a block of
seed 2.
Here seed and purpose are hashed together, so that runs with consecutive seeds are independent samples.
"""

import hashlib
import json

import numpy as np


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a generator of random numbers; the same seed and purpose always give the same ones.

    Args:
        seed: The seed of a run.
        purpose: What the numbers are for, for example `"order", epoch`.
    """
    return np.random.default_rng(_entropy(seed, purpose))


def derived(seed: int, *purpose: str | int) -> int:
    """Return a seed for a generator that takes an integer below 2^31, as Keras' and TensorFlow's do.

    Args:
        seed: The seed of a run.
        purpose: What the seed is for, for example `"dropout"`.
    """
    return _entropy(seed, purpose) % 2**31


def masks(seed: int, step: int) -> tuple[int, int]:
    """Return the two integers that choose the dropout masks of a training step.

    Args:
        seed: The seed of a run.
        step: Steps taken before.
    """
    return derived(seed, "dropout"), step


def _entropy(seed: int, purpose: tuple[str | int, ...]) -> int:
    # As JSON, because "1" and 1, or ("a", "b") and ("ab",), are not the same purpose.
    return int.from_bytes(hashlib.sha256(json.dumps([int(seed), *purpose]).encode()).digest())

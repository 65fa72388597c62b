"""A linear-chain conditional random field on hand-made features of words: the tradition of tagging.

Lafferty et al. 2001, with CRFsuite (Okazaki 2007) as its trainer. The features are those that named-entity recognisers
had before neural networks: the word, its beginning, end and shape, and the same of its neighbours.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnlm.targets.solver import Options

# Iterations of L-BFGS at most; on small sets it ends by itself before.
ITERATIONS = 200

Features = list[list[str]]  # of each word of a document


def word_features(words: Sequence[str]) -> Features:
    """Return the features of each word of a document, as names.

    Args:
        words: The words.
    """
    lower = ["<s>", "<s>", *(word.lower() for word in words), "</s>", "</s>"]
    shapes = ["", "", *map(_shape, words), "", ""]
    found = []
    for n, word in enumerate(words, 2):
        own = lower[n]
        found.append(
            [
                "bias",
                f"w={own}",
                f"s={shapes[n]}",
                *(f"p{size}={own[:size]}" for size in (1, 2, 3)),
                *(f"e{size}={own[-size:]}" for size in (1, 2, 3)),
                *(f"w{place:+d}={lower[n + place]}" for place in (-2, -1, 1, 2)),
                *(f"s{place:+d}={shapes[n + place]}" for place in (-1, 1)),
                f"w-1,0={lower[n - 1]} {own}",
                f"w0,1={own} {lower[n + 1]}",
                *(name for name, is_so in (("upper", word.isupper()), ("title", word.istitle())) if is_so),
            ]
        )
    return found


def features(
    train: Sequence[Sequence[str]], others: Sequence[Sequence[Sequence[str]]], **_: Any
) -> list[list[Features]]:
    """Return the features of each document's words: of the training documents, then of each other group."""
    return [[word_features(words) for words in group] for group in (train, *others)]


def _shape(word: str) -> str:
    """Return the kinds of a word's characters, each once where they follow each other: `Xx` for Paris, `X0` for A4."""
    kinds = ("0" if one.isdigit() else "X" if one.isupper() else "x" if one.isalpha() else one for one in word)
    shape = ""
    for kind in kinds:
        if not shape.endswith(kind):
            shape += kind
    return shape


def solve(
    train: Sequence[Features],
    tags: Sequence[np.ndarray],
    others: Sequence[Sequence[Features]],
    strength: float,
    options: Options,
) -> list[np.ndarray]:
    """Fit a conditional random field, and return the probability of each tag of the words of other documents.

    Args:
        train: Features of the words of each training document.
        tags: The tags of each, as indices.
        others: Groups of documents that are asked about.
        strength: Inverse strength of the L2 penalty.
        options: The number of tags. One that no training document has gets the probability 0.

    Returns:
        (words, classes) the marginal probabilities of each group's words, one document after the other.
    """
    import pycrfsuite

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "model")
        settings = {"c1": 0.0, "c2": 1.0 / strength, "max_iterations": ITERATIONS, "feature.possible_transitions": True}
        trainer = pycrfsuite.Trainer(algorithm="lbfgs", params=settings, verbose=False)
        for words, of_words in zip(train, tags, strict=True):
            trainer.append(words, [str(tag) for tag in of_words])
        trainer.train(file)
        tagger = pycrfsuite.Tagger()
        tagger.open(file)
        known = [(int(name), name) for name in tagger.labels()]
        try:
            return [_marginals(tagger, group, known, options.classes) for group in others]
        finally:
            tagger.close()


def _marginals(tagger, documents: Sequence[Features], known: list[tuple[int, str]], classes: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    said = np.zeros((sum(map(len, documents)), classes))
    row = 0
    for words in documents:
        tagger.set(words)
        for place in range(len(words)):
            for tag, name in known:
                said[row, tag] = tagger.marginal(name, place)
            row += 1
    return said

"""Features of documents for linear models: n-grams of words, or of characters where there are no words."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

# Weights of the linear model at most: the solver keeps some 25 numbers for each, hence 0.8 GB.
MOST_WEIGHTS = 4_000_000
WORD = r"(?u)\b\w+\b"  # words of one letter too, which scikit-learn drops otherwise
LONGEST_OF_CHARACTERS = 4


def counted(train: Sequence[str], *, classes: int, parted: bool, longest: int) -> dict[str, Any]:
    """Return what scikit-learn's vectorizers are told to count.

    Args:
        train: The training documents. Emoticons alone are no words.
        classes: Number of classes; 0 where labels are numbers.
        parted: Whether the script parts words by spaces.
        longest: Words of the longest n-grams.
    """
    by_word = {"token_pattern": WORD, "ngram_range": (1, longest)}
    by_character = {"analyzer": "char", "ngram_range": (1, LONGEST_OF_CHARACTERS)}
    in_words = parted and any(re.search(WORD, text) for text in train)
    return {"max_features": MOST_WEIGHTS // max(1, classes), **(by_word if in_words else by_character)}


def tfidf(train: Sequence[str], others: Sequence[Sequence[str]], *, classes: int, parted: bool, **_: Any) -> list[Any]:
    """Return TF-IDF of words and pairs of words, as sparse matrices (documents, features).

    Args:
        train: The training documents, which the features are chosen and weighted by.
        others: Further groups of documents.
        classes: Number of classes; 0 where labels are numbers.
        parted: Whether the script parts words by spaces.

    Returns:
        The features of the training documents, then of each other group.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    kind = counted(train, classes=classes, parted=parted, longest=2)
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float64, **kind)
    return [vectorizer.fit_transform(train), *(vectorizer.transform(group) for group in others)]

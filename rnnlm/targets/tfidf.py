"""Features of documents for linear models: TF-IDF of words and pairs of words."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

# Weights of the linear model at most: the solver keeps some 25 numbers for each, hence 0.8 GB.
MOST_WEIGHTS = 4_000_000
WORD = r"(?u)\b\w+\b"  # words of one letter too, which scikit-learn drops otherwise


def tfidf(train: Sequence[str], others: Sequence[Sequence[str]], *, classes: int, parted: bool) -> list[Any]:
    """Return TF-IDF of words and pairs of words, as sparse matrices (documents, features).

    Where there are no words, n-grams of one to four characters are counted in their place.

    Args:
        train: The training documents, which the features are chosen and weighted by.
        others: Further groups of documents.
        classes: Number of classes; 0 where labels are numbers.
        parted: Whether the script parts words by spaces.

    Returns:
        The features of the training documents, then of each other group.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    by_word = {"token_pattern": WORD, "ngram_range": (1, 2)}
    # Emoticons alone are no words either.
    in_words = parted and any(re.search(WORD, text) for text in train)
    kind: dict[str, Any] = by_word if in_words else {"analyzer": "char", "ngram_range": (1, 4)}
    most = MOST_WEIGHTS // max(1, classes)
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float64, max_features=most, **kind)
    return [vectorizer.fit_transform(train), *(vectorizer.transform(group) for group in others)]

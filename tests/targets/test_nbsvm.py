"""NB-SVM against a computation with dense arrays, and its properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from rnnlm.targets import nbsvm
from rnnlm.targets.solver import Options

seeds = st.integers(0, 10_000)


def some(seed: int, classes: int = 2, documents: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which features documents have, their classes, and the features of other documents."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(documents) % classes)
    frequent = generator.uniform(0.05, 0.6, (classes, 25))
    there = generator.random((documents, 25)) < frequent[labels]
    return there.astype(float), labels, (generator.random((20, 25)) < 0.3).astype(float)


def solved(
    features: np.ndarray, labels: np.ndarray, asked: np.ndarray, classes: int = 2, strength: float = 1.0
) -> np.ndarray:
    one = sparse.csr_matrix(features), labels, [sparse.csr_matrix(asked)], strength, Options(classes)
    (said,) = nbsvm.solve(*one)
    return np.asarray(said)


def of_one_class(features: np.ndarray, inside: np.ndarray, asked: np.ndarray, strength: float) -> np.ndarray:
    """Return the probability of a class as Wang & Manning 2012 write it, with one array for all features."""
    p, q = 1.0 + features[inside].sum(axis=0), 1.0 + features[~inside].sum(axis=0)
    r = np.log((p / np.abs(p).sum()) / (q / np.abs(q).sum()))
    model = LogisticRegression(C=strength, max_iter=1_000).fit(features * r, inside)
    return np.asarray(model.predict_proba(asked * r)[:, 1])


@settings(max_examples=20)
@given(seeds, st.sampled_from(nbsvm.STRENGTHS))
def test_two_classes_are_those_of_the_paper(seed: int, strength: float) -> None:
    features, labels, asked = some(seed)
    right = of_one_class(features, labels == 1, asked, strength)
    np.testing.assert_allclose(
        solved(features, labels, asked, 2, strength), np.stack([1.0 - right, right], axis=1), atol=1e-3
    )


@settings(max_examples=10)
@given(seeds, st.integers(3, 5))
def test_of_more_classes_each_is_told_from_all_others(seed: int, classes: int) -> None:
    features, labels, asked = some(seed, classes, 90)
    each = np.stack([of_one_class(features, labels == n, asked, 1.0) for n in range(classes)], axis=1)
    right = each / each.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(solved(features, labels, asked, classes), right, atol=1e-3)


@settings(max_examples=10)
@given(seeds)
def test_the_names_of_the_classes_do_not_matter(seed: int) -> None:
    features, labels, asked = some(seed)
    turned = solved(features, 1 - labels, asked)[:, ::-1]
    np.testing.assert_allclose(solved(features, labels, asked), turned, atol=1e-3)


@pytest.mark.parametrize("there", [[1], [0, 2]])
def test_a_class_without_a_document_has_no_probability(there: list[int]) -> None:
    features, labels, asked = some(1, len(there))
    said = solved(features, np.array(there)[labels], asked, 3)
    np.testing.assert_allclose(said.sum(axis=1), 1.0)
    assert (said[:, [n for n in range(3) if n not in there]] == 0.0).all()


def test_phrases_of_three_words_are_counted_once_a_document() -> None:
    texts, asked = ["not at all good not at all", "good"], ["at all good times"]
    train, others = nbsvm.ngrams(texts, [asked], classes=2, parted=True, characters=nbsvm.SHORT)
    assert train.max() == 1.0
    assert train.shape == (2, 4 + 4 + 4)  # good not at all; four pairs; four phrases of three
    assert others.sum() == 3 + 2 + 1  # at, all, good, and what they make


def test_short_documents_have_ngrams_of_characters_too() -> None:
    (both,) = nbsvm.ngrams(["good"], [], classes=2, parted=True, characters=4.0)
    # The word; of " good " four n-grams of three characters, three of four and two of five.
    assert both.shape == (1, 1 + 4 + 3 + 2)
    (characters,) = nbsvm.ngrams(["好看", "难看"], [], classes=2, parted=False, characters=2.0)
    assert characters.shape == (2, 3 + 2)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.config import Comparison, Experiment
from rnnlm.transfer.arms import ARMS
from rnnlm.transfer.subsets import label_subset
from rnnlm.transfer.vocabulary import map_vocabulary


def test_every_arm_of_the_settings_is_there() -> None:
    every = Comparison.model_json_schema()["properties"]["arms"]["items"]["enum"]
    assert set(every) == set(ARMS)
    assert set(Experiment().comparison.arms) <= set(ARMS)


def test_shared_rows_are_copied_and_new_ones_are_the_mean() -> None:
    weights = {
        "embedding/embeddings": np.arange(8, dtype=np.float32).reshape(4, 2),
        "softmax_bias": np.array([0.0, 1.0, 2.0, 5.0], np.float32),
        "lstm_0/kernel": np.ones((2, 4), np.float32),
    }
    mapped, coverage = map_vocabulary(weights, ["<unk>", "a", "b", "c"], ["c", "new", "<unk>", "a", "newer"])
    np.testing.assert_array_equal(mapped["embedding/embeddings"], [[6, 7], [3, 4], [0, 1], [2, 3], [3, 4]])
    np.testing.assert_array_equal(mapped["softmax_bias"], [5.0, 2.0, 0.0, 1.0, 2.0])
    assert mapped["lstm_0/kernel"] is weights["lstm_0/kernel"]
    assert (coverage.shared, coverage.new) == (3, 2)


def test_the_same_vocabulary_changes_nothing() -> None:
    weights = {"embedding/embeddings": np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)}
    mapped, coverage = map_vocabulary(weights, list("abcde"), list("abcde"))
    np.testing.assert_array_equal(mapped["embedding/embeddings"], weights["embedding/embeddings"])
    assert coverage.new == 0


labels = st.lists(st.integers(-1, 2), min_size=4, max_size=120).filter(lambda values: sum(v >= 0 for v in values) >= 4)


@given(labels=labels, seed=st.integers(0, 99), data=st.data())
def test_subsets_nest(labels: list[int], seed: int, data: st.DataObject) -> None:
    array = np.array(labels)
    small, large = sorted(data.draw(st.integers(1, int((array >= 0).sum()))) for _ in range(2))
    inner, outer = label_subset(array, small, seed), label_subset(array, large, seed)
    assert len(inner) == small
    assert set(inner) <= set(outer)
    assert (array[outer] >= 0).all()
    np.testing.assert_array_equal(inner, np.unique(inner))


@given(counts=st.lists(st.integers(5, 60), min_size=2, max_size=4), seed=st.integers(0, 99), data=st.data())
def test_subsets_are_stratified(counts: list[int], seed: int, data: st.DataObject) -> None:
    array = np.repeat(np.arange(len(counts)), counts)
    size = data.draw(st.integers(1, len(array)))
    found = np.bincount(array[label_subset(array, size, seed)], minlength=len(counts))
    # Dealt out evenly, a class is never more than one document per class away from its share.
    np.testing.assert_allclose(found, size * np.array(counts) / len(array), atol=len(counts))


def test_another_seed_chooses_other_documents() -> None:
    array = np.zeros(100, int)
    assert set(label_subset(array, 10, 1)) != set(label_subset(array, 10, 2))
    np.testing.assert_array_equal(label_subset(array, 10, 1), label_subset(array, 10, 1))


@pytest.mark.parametrize("size", [0, 3])
def test_more_than_there_are_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="of 2 labelled"):
        label_subset(np.array([0, 1, -1]), size, 1)

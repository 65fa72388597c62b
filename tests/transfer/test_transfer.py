import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.transfer.subsets import label_subset

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

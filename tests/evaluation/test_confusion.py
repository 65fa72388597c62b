import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.evaluation.confusion import MOST_CLASSES, confusion
from rnnlm.targets.class_scores import confusion_counts


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_counts_and_scores_agree_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    labels, predicted = (np.array(values) for values in zip(*pairs, strict=True))
    counts = confusion_counts(predicted, labels.astype(np.int16), 4)
    every = [0, 1, 2, 3]
    np.testing.assert_array_equal(counts, confusion_matrix(labels, predicted, labels=every))
    found = confusion("scratch", 100, 1, counts, ["a", "b", "c", "d"])
    assert found.counts == counts.tolist()
    expected = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    for n, one in enumerate(found.classes):
        assert one.label == "abcd"[n]
        assert (one.precision, one.recall, one.f1, one.support) == pytest.approx(tuple(part[n] for part in expected))


def test_a_matrix_too_large_to_be_looked_at_is_left_out() -> None:
    counts = np.eye(MOST_CLASSES + 1, dtype=int) * 3
    found = confusion("scratch", 100, 1, counts, [str(n) for n in range(MOST_CLASSES + 1)])
    assert found.counts == []
    assert [one.f1 for one in found.classes] == [1.0] * (MOST_CLASSES + 1)
    assert confusion("scratch", 100, 1, counts[1:, 1:], [str(n) for n in range(MOST_CLASSES)]).counts

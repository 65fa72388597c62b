import math

import numpy as np
import pytest

from rnnlm.evaluation.comparison import Predictions
from rnnlm.evaluation.label_equivalence import equivalence_sentence, label_equivalences, needed

DOCUMENTS = 2_000
SIZES = np.array([100, 1_000, 10_000])
CURVE = np.array([0.6, 0.7, 0.9])


@pytest.mark.parametrize(
    ("score", "labels"),
    [
        (0.6, 100),
        (0.5, 100),  # so many or fewer
        (0.65, 10**2.5),  # half of the way, on a logarithmic scale
        (0.7, 1_000),
        (0.8, 10**3.5),
        (0.9, 10_000),
        (0.91, math.inf),
    ],
)
def test_labels_are_read_off_the_curve(score: float, labels: float) -> None:
    assert needed(score, CURVE, SIZES) == pytest.approx(labels)


def test_a_curve_that_falls_is_held_at_its_highest() -> None:
    assert needed(0.65, np.array([0.7, 0.6, 0.9]), SIZES) == 100
    assert needed(0.8, np.array([0.7, 0.6, 0.9]), SIZES) == pytest.approx(10**3.5)


def cells(accuracy: dict[tuple[str, int], float], seeds: int = 3) -> list[Predictions]:
    """Return cells that are right on so large a share of the documents."""
    made = []
    for n, ((arm, labels), share) in enumerate(accuracy.items()):
        for seed in range(seeds):
            right = np.random.default_rng([n, seed]).permutation(np.arange(DOCUMENTS) < share * DOCUMENTS)
            made.append(Predictions("classifier", arm, labels, seed, right.astype(float), np.ones(DOCUMENTS)))
    return made


SCRATCH = {("scratch", 100): 0.6, ("scratch", 1_000): 0.7, ("scratch", 10_000): 0.9}


def test_an_arm_with_few_labels_is_worth_more_of_them() -> None:
    (found,) = label_equivalences(cells(SCRATCH | {("parameter", 100): 0.8}))
    assert (found.arm, found.labels, found.least, found.most) == ("parameter", 100, 100, 10_000)
    assert found.needed == pytest.approx(10**3.5, rel=1e-3)
    assert equivalence_sentence([found]).startswith(
        "What transfer is worth in labels. With 100 labels parameter transfer is as good as scratch with 3,16"
    )
    assert found.low
    assert found.needed
    assert found.high
    assert 1_000 < found.low < found.needed < found.high < 10_000
    # Of the share, four standard errors of 0.9 points and as much again for the curve's ends, on 0.2 for a decade.
    assert found.high / found.low < 10 ** (8 * 0.0129 / 0.2)


def test_better_than_scratch_ever_was_is_no_number() -> None:
    (found,) = label_equivalences(cells(SCRATCH | {("feature", 1_000): 0.99}))
    assert (found.needed, found.low, found.high) == (None, None, None)
    assert "is better than scratch with 10,000, the most that were tried." in equivalence_sentence([found])


def test_baselines_and_single_points_are_not_compared() -> None:
    assert label_equivalences(cells(SCRATCH | {("tfidf", 100): 0.8, ("target_text", 100): 0.8})) == []
    assert label_equivalences(cells({("scratch", 100): 0.6, ("parameter", 100): 0.8})) == []


def test_few_test_documents_give_no_equivalence() -> None:
    made = cells(SCRATCH | {("parameter", 100): 0.8})
    few = [Predictions(c.task, c.arm, c.labels, c.seed, c.score[:29], c.weight[:29]) for c in made]
    assert label_equivalences(few) == []


def test_what_is_worth_no_labels_gets_no_sentence() -> None:
    assert equivalence_sentence(label_equivalences(cells(SCRATCH | {("parameter", 1_000): 0.7}))) == ""


def test_a_cell_that_comes_twice_counts_once() -> None:
    made = cells(SCRATCH | {("parameter", 100): 0.8})
    assert label_equivalences([*made, made[0]]) == label_equivalences(made)


def test_of_two_that_scratch_never_reached_the_one_with_fewer_labels_is_named() -> None:
    found = label_equivalences(cells(SCRATCH | {("linear_map", 10_000): 0.99, ("feature", 100): 0.99}))
    assert "With 100 labels feature transfer" in equivalence_sentence(found)


def test_a_model_that_diverged_spoils_its_own_answer_alone() -> None:
    made = cells(SCRATCH | {("parameter", 100): 0.8, ("feature", 100): 0.7})
    spoilt = [
        Predictions(
            c.task,
            c.arm,
            c.labels,
            c.seed,
            np.nan * c.score if (c.arm, c.seed) == ("parameter", 1) else c.score,
            c.weight,
        )
        for c in made
    ]
    assert [one.arm for one in label_equivalences(spoilt)] == ["feature"]


def test_one_seed_takes_the_spread_of_others_and_if_there_is_none_documents_alone_count() -> None:
    made = cells(SCRATCH | {("parameter", 100): 0.8})
    (by_all,) = label_equivalences(made)
    (borrowed,) = label_equivalences([c for c in made if c.arm != "scratch" or c.seed == 0])
    (alone,) = label_equivalences([c for c in made if c.seed == 0])
    for found in (borrowed, alone):
        assert found.low
        assert found.needed
        assert found.high
        assert found.low < found.needed < found.high
    assert by_all.low

import pytest

from rnnlm.experiment import Experiment, load_experiment
from rnnlm.plan import plan, seconds_before
from rnnlm.refs import CellId

SOURCE = 1_000.0
MODELS = {"scratch": 10.0, "parameter": 20.0}


def before(experiment: Experiment, cell: CellId) -> float:
    cells = plan(experiment, {"train": 8, "valid": 1, "test": 9})
    taken = {one: MODELS.get(one.arm, 0.0) if one.task == "language_model" else 3.0 for one in cells}
    return seconds_before(cell, cells, taken, SOURCE)


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("scratch", 0.0),
        ("tfidf", 0.0),
        ("target_text", 10.0),
        ("parameter", 1_020.0),
        ("linear_map", 1_020.0),
        ("feature", 1_020.0),
    ],
)
def test_a_classifier_starts_from_language_models(arm: str, expected: float) -> None:
    cell = CellId(task="classifier", arm=arm, labels=500, seed=1)
    assert before(load_experiment("demo"), cell) == expected


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("scratch", 0.0),
        ("kneser_ney", 0.0),
        ("source", 1_000.0),
        ("source_cache", 1_000.0),
        ("parameter", 1_000.0),
        ("scratch_kneser_ney", 10.0),
        ("parameter_kneser_ney", 1_020.0),
    ],
)
def test_a_language_model_starts_from_the_source_or_is_mixed(arm: str, expected: float) -> None:
    cell = CellId(task="language_model", arm=arm, labels=0, seed=1)
    assert before(load_experiment("demo"), cell) == expected


def test_a_classification_source_has_no_language_model_of_the_target() -> None:
    cell = CellId(task="classifier", arm="parameter", labels=100, seed=1)
    assert before(load_experiment("article"), cell) == SOURCE


def test_what_a_mean_and_its_parts_start_from_counts_once() -> None:
    arms = ["comparison.arms=[scratch, parameter, backward, both, multi_task]", "comparison.labels=[all]"]
    experiment = load_experiment("demo", arms)
    cell = CellId(task="classifier", arm="both", labels=9, seed=1)
    # Two source models, the fine-tuned language model (that which reads backwards takes nothing here), two classifiers.
    assert before(experiment, cell) == 2 * SOURCE + 20.0 + 2 * 3.0
    # It trains on the source's text itself.
    assert before(experiment, cell.model_copy(update={"arm": "multi_task"})) == 0.0

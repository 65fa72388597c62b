"""What every arm does, with every target task. A new one of either is tried here without a line of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from rnnlm.arms import ARMS, arms_for
from rnnlm.experiment import Experiment, check_experiment
from rnnlm.plan import Plan, SourceModel, needs_source, plan
from rnnlm.refs import CellId, ScoreRef, Texts
from rnnlm.steps.runner import Local
from rnnlm.steps.target import Made
from rnnlm.steps.texts import prepare_texts
from rnnlm.store import working_in
from rnnlm.targets import TASKS, TargetTask
from rnnlm.tokens.text import flat

LABELS = 20
FILES = {"class": "reviews.jsonl", "number": "reviews.jsonl", "tags": "tagged.jsonl"}


def arms_of(target: TargetTask) -> list[str]:
    return arms_for(tuple(target.solvers))


def experiment(folder: Path, target: TargetTask) -> Experiment:
    """Return an experiment with every arm, over the texts of `write_news_and_reviews`."""
    training = {"epochs": 1, "batch_size": 4, "window": 8, "evaluations": 1, "precision": "float32"}
    shares = {"valid_share": 0.2, "test_share": 0.3}
    settings: dict[str, Any] = {
        "name": "arms",
        "model": {"embedding": 8, "layers": 1},
        "source": {
            "corpus": {"files": [str(folder / "news")], "format": "text", **shares},
            "tokenizer": {"kind": "word", "vocabulary_size": 40},
            "language_model": training,
        },
        "target": {
            "task": target.name,
            "corpus": {
                "files": [str(folder / FILES[target.labels])], "label": "stars",
                "vector": None if target.labels == "tags" else "vector", **shares,
            },
            "language_model": training,
            "adaptations": ["cache", "dynamic"],
            "ngram_order": 3,
            target.model: {
                "epochs": 1, "min_steps": 4, "batch_size": 8, "learning_rates": [0.02], "evaluations": 1,
                "precision": "float32",
            },
        },
        "comparison": {
            "arms": arms_of(target),
            "labels": [LABELS],
            "seeds": 1,
        },
    }  # fmt: skip
    return check_experiment(settings)


class Computed:
    """Every cell of the experiment, as one run computes them."""

    def __init__(self, folder: Path, target: TargetTask) -> None:
        of = experiment(folder, target)
        self.target = target
        with working_in(folder / "work"):
            self.texts: Texts = prepare_texts(of, Local())
            self.plan: Plan = plan(of, self.texts.documents.labelled)
            made = Made(of, self.plan, self.texts, Local())
            self.cells = {cell: made.cell(cell) for cell in self.plan}
            self.source = made.source(SourceModel())


@pytest.fixture(scope="module", params=TASKS)
def computed(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    write_news_and_reviews: Callable[[Path], None],
) -> Computed:
    folder = tmp_path_factory.mktemp("arms")
    write_news_and_reviews(folder)
    return Computed(folder, TASKS[request.param])


def cells_of(computed: Computed, arm: str) -> list[tuple[CellId, ScoreRef]]:
    return [(cell, score) for cell, score in computed.cells.items() if cell.arm == arm]


every_arm = pytest.mark.parametrize("arm", ARMS)


@every_arm
def test_an_arm_has_a_cell_for_each_model_that_it_names(arm: str, computed: Computed) -> None:
    expected = [("language_model", 0)] if ARMS[arm].language_model else []
    if ARMS[arm].target and arm in arms_of(computed.target):
        expected.append((computed.target.model, LABELS))
    assert sorted((cell.task, cell.labels) for cell, _ in cells_of(computed, arm)) == sorted(expected)


@every_arm
def test_a_cell_says_something_of_each_test_document_and_of_those_that_choose(arm: str, computed: Computed) -> None:
    for cell, score in cells_of(computed, arm):
        assert score.id == cell
        for split, name in (("test", "predictions"), ("valid", "valid")):
            table = pq.read_table(score.path / f"{name}.parquet")
            # So few labels all choose, in a cross-validation.
            crossed = split == "valid" and cell.task != "language_model"
            assert table.num_rows == (LABELS if crossed else computed.texts.documents.documents[split])
            assert len(set(table["id"].to_pylist())) == table.num_rows
            if cell.task != "language_model":
                said = computed.target.said(table)
                labels = computed.target.labels_of(table)
                assert len(labels) == table.num_rows
                assert len(said) == len(flat(labels))
                assert np.isfinite(said).all()
                scores = computed.target.scores(said, labels)
                measure = computed.target.measure
                assert scores.mean() == pytest.approx(
                    score.metrics[measure.name if split == "test" else f"valid/{measure.name}"]
                    * (1 if measure.higher_is_better else -1),
                    abs=1e-6,
                )
            else:
                assert (np.array(table["nll"].to_pylist()) > 0.0).all()


@every_arm
def test_a_cells_scores_are_finite_and_on_both_splits(arm: str, computed: Computed) -> None:
    for cell, score in cells_of(computed, arm):
        names = {"bits_per_character", "nll"}
        if cell.task != "language_model":
            names = {computed.target.measure.name, *computed.target.shown}
        assert names | {f"valid/{name}" for name in names} <= score.metrics.keys()
        assert all(np.isfinite(value) for value in score.metrics.values())
        assert score.seconds > 0.0


@every_arm
def test_only_what_needs_the_source_is_called_transfer(arm: str, computed: Computed) -> None:
    for cell, _ in cells_of(computed, arm):
        if ARMS[arm].transfer:
            assert needs_source(cell, computed.plan)
        if ARMS[arm].tradition or arm == "scratch":
            assert not needs_source(cell, computed.plan)

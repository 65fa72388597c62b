"""`seeds: auto`: seeds are added where a comparison is open, in each kind of run the same ones."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnlm
from rnnlm.evaluation.assemble import rules_of
from rnnlm.evaluation.caveats import added_seeds_sentence
from rnnlm.evaluation.comparison import Predictions, seeds_wanted
from rnnlm.evaluation.verdict import Verdict
from rnnlm.experiment import Experiment, check_experiment
from rnnlm.plan import Plan, can_grow, plan, seeds_of
from rnnlm.refs import CellId, ScoreRef
from rnnlm.steps.planned import planned
from rnnlm.steps.seeds import with_more_seeds

LABELLED = {"train": 95, "valid": 5, "test": 50}

STARTED = ("classifier", "parameter", 5)
ADDED = "Seeds were added where the answer was open: 3 at first, at most 5."


@pytest.fixture
def auto(settings: dict[str, Any], experiment: Experiment) -> Experiment:
    """A small comparison of classifiers, with as many seeds as it takes."""
    assert experiment
    settings["target"] |= {"tokenizer": None, "ngram_order": None, "adaptations": []}
    arms = ["scratch", "tfidf", "parameter", "feature"]
    settings["comparison"] = {"arms": arms, "labels": [20], "seeds": "auto", "max_seeds": 5, "seed": 41}
    settings["comparison"]["language_models"] = False
    return check_experiment(settings)


def numbers(verdict: Verdict) -> dict[str, int]:
    """Return how many seeds each arm of the target task has."""
    return dict(Counter(cell.arm for cell in verdict.cells if cell.task == "classifier"))


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_a_run_adds_the_same_seeds_with_and_without_servers_and_takes_them_from_the_cache(
    auto: Experiment, executed: Counter[str], tmp_path: Path
) -> None:
    from rnnlm.flows.transfer import transfer
    from rnnlm.steps.compare import read_verdict

    verdict = rnnlm.run(auto, tmp_path, progress=False)
    seeds = numbers(verdict)
    assert set(seeds.values()) <= {3, 5}
    open_ones = {gain.arm for gain in verdict.gains if gain.outcome == "open"}
    # Whatever this machine's last digits make of it: who is still open has all seeds, or more would not have helped.
    rules = rules_of(auto.comparison)
    assert rules.looks == (3, 5)
    assert all(seeds[arm] in (3, 5) for arm in open_ones)
    assert seeds["scratch"] == max(seeds.values())
    assert any(sentence.startswith(ADDED) for sentence in verdict.sentences)
    assert not any("comparison.minutes" in sentence for sentence in verdict.sentences)
    assert all(one.took is not None for one in planned(auto))

    executed.clear()
    again = read_verdict(transfer(auto))
    assert executed == {"register": 1}
    assert [cell.metrics for cell in again.cells] == [cell.metrics for cell in verdict.cells]
    assert again.gains == verdict.gains


def test_language_models_of_their_own_are_made_for_the_seeds_that_are_added(settings: dict[str, Any]) -> None:
    settings["comparison"] |= {"seeds": "auto", "seeds_language_model": "auto", "labels": [20]}
    found = grown(check_experiment(settings), open_arm="parameter", seconds=1.0)
    assert {cell.seed for cell in found if (cell.task, cell.arm) == ("language_model", "parameter")} == {1, 2, 3, 4, 5}
    assert {cell.seed for cell in found if (cell.task, cell.arm) == ("language_model", "kneser_ney")} == {1}
    (needs,) = (spec.needs for cell, spec in found.items() if (cell.task, cell.arm, cell.seed) == STARTED)
    assert needs == (CellId(task="language_model", arm="parameter", labels=0, seed=5),)


def grown(experiment: Experiment, open_arm: str, seconds: float) -> Plan:
    """Return the next plan if all that was begun is there, and one arm is like scratch, but for chance; others win.

    Args:
        experiment: The experiment.
        open_arm: The arm whose comparison is open.
        seconds: What each cell took for each label, or a language model.
    """
    scores = {
        cell: ScoreRef(
            **cell.model_dump(),
            path=Path(),
            sha256="",
            metrics={},
            seconds=seconds * max(cell.labels, 1),
            recorded_as="",
        )
        for cell in plan(experiment, LABELLED)
    }

    def said(score: ScoreRef) -> Predictions:
        generator = np.random.default_rng([score.seed, len(score.arm), score.labels])
        share = 0.6 + 0.03 * generator.standard_normal() + 0.3 * (score.arm not in ("scratch", open_arm))
        right = (generator.random(2_000) < share).astype(float)
        return Predictions(score.task, score.arm, score.labels, score.seed, right, np.ones(2_000))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnnlm.steps.seeds.predictions_of", said)
        return with_more_seeds(experiment, LABELLED, scores)


@pytest.mark.parametrize(("minutes", "more"), [(None, {20, 100}), (42.0, {20, 100}), (24.0, {20}), (19.0, set())])
def test_no_seeds_are_begun_that_would_take_more_than_the_minutes(
    settings: dict[str, Any], minutes: float | None, more: set[int]
) -> None:
    """3 seeds of 3 arms with 20 and 100 labels take 18 minutes; two more of the open arm and of scratch 1.3 and 6.7."""
    settings["comparison"] = {"arms": ["scratch", "target_text", "parameter"], "labels": [20, "all"], "seeds": "auto"}
    settings["comparison"] |= {"minutes": minutes, "language_models": False}
    experiment = check_experiment(settings)
    first = plan(experiment, LABELLED)
    added = [cell for cell in grown(experiment, "parameter", seconds=1.0) if cell not in first]
    assert {cell.labels for cell in added} == more
    for labels in more:
        of_size = [cell for cell in added if cell.labels == labels]
        assert seeds_of(of_size)["classifier", "parameter", labels] == 2


def test_what_has_one_seed_by_its_settings_gets_no_more_and_stops_nothing(settings: dict[str, Any]) -> None:
    """Language models share one seed, and their comparison is open."""
    settings["comparison"] = {"arms": ["scratch", "parameter"], "labels": [20], "seeds": "auto"}
    experiment = check_experiment(settings)
    found = grown(experiment, "parameter", seconds=1.0)
    assert {cell.seed for cell in found if cell.task == "language_model"} == {1}
    assert {cell.seed for cell in found if cell.task == "classifier"} == {1, 2, 3, 4, 5}
    everything_open = [Predictions("language_model", arm, 0, 1, row, np.ones(500)) for arm, row in noise().items()]
    assert seeds_wanted(everything_open, rules_of(experiment.comparison), partial(can_grow, experiment)) == {}
    assert "minutes" not in added_seeds_sentence(experiment.comparison, stopped=False)


def noise() -> dict[str, np.ndarray]:
    """Return scores of two language models that differ by chance."""
    return {arm: np.random.default_rng(len(arm)).standard_normal(500) for arm in ("scratch", "parameter")}


def test_a_fixed_number_of_seeds_stays(settings: dict[str, Any]) -> None:
    experiment = check_experiment(settings)
    assert grown(experiment, "parameter", seconds=1.0) == plan(experiment, LABELLED)
    assert isinstance(next(iter(plan(experiment, LABELLED))), CellId)

"""Which cells come next if seeds are added for as long as a comparison is open (`seeds: auto`)."""

import functools
from collections.abc import Iterable, Mapping

from rnnlm.evaluation.assemble import rules_of
from rnnlm.evaluation.comparison import seeds_wanted
from rnnlm.evaluation.predictions import predictions_of
from rnnlm.experiment import Experiment
from rnnlm.plan import LabelCounts, Plan, can_grow, group_of, plan, seeds_of, united
from rnnlm.refs import CellId, ScoreRef


def with_more_seeds(experiment: Experiment, labelled: LabelCounts, scores: Mapping[CellId, ScoreRef]) -> Plan:
    """Return the plan with the next seeds of all comparisons that are open.

    It depends on nothing but the cells, and the seconds that were recorded with them. So a run that is tried again
    adds the same seeds.

    Args:
        experiment: The experiment.
        labelled: Number of the target's labelled documents of each split.
        scores: All cells that were planned so far.

    Returns:
        All cells; no more than there are if nothing is open, or seeds or minutes are used up.
    """
    there = seeds_of(scores)
    known = plan(experiment, labelled, there)
    rules = rules_of(experiment.comparison)
    if not rules.looks:
        return known
    predictions = [predictions_of(score) for score in scores.values()]
    wanted = seeds_wanted(predictions, rules, functools.partial(can_grow, experiment))
    minutes = experiment.comparison.minutes
    left = None if minutes is None else 60.0 * minutes - sum(score.seconds for score in scores.values())
    rounds = []
    for task, labels in {(task, labels) for task, _, labels in wanted}:
        more = {group: number for group, number in wanted.items() if (group[0], group[2]) == (task, labels)}
        added = [cell for cell in plan(experiment, labelled, united(there, more)) if cell not in known]
        rounds.append((_seconds(added, scores), task, labels, more))
    # The cheapest first, so that a limit stops as few as possible.
    planned = known
    for _, _, _, more in sorted(rounds, key=lambda one: one[:3]):
        larger = plan(experiment, labelled, united(there, more))
        if left is not None:
            # Language models that a cheaper round needs as well are not counted twice.
            left -= _seconds([cell for cell in larger if cell not in planned], scores)
            if left < 0.0:
                break
        there, planned = united(there, more), larger
    return planned


def _seconds(cells: Iterable[CellId], scores: Mapping[CellId, ScoreRef]) -> float:
    """Return what cells will take, by what the same took with other seeds."""
    took: dict[object, list[float]] = {}
    for cell, score in scores.items():
        took.setdefault(group_of(cell), []).append(score.seconds)
    means = {group: sum(seconds) / len(seconds) for group, seconds in took.items()}
    return sum(means.get(group_of(cell), 0.0) for cell in cells)

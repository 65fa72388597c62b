"""What a run would do: every cell, what it needs, what the cache has already, and how long the rest would take."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rnnlm.experiment import Experiment
from rnnlm.plan import CellSpec, Need, SourceModel, plan
from rnnlm.refs import CellId, ScoreRef
from rnnlm.steps.rates import cell_seconds, language_model_seconds, rates
from rnnlm.steps.runner import Local, Look, NotDoneError
from rnnlm.steps.target import Made
from rnnlm.steps.texts import prepare_texts

N = TypeVar("N")
R = TypeVar("R")


@dataclass(frozen=True)
class Planned:
    """What is known of a training, before the run.

    Attributes:
        name: What it is.
        needs: What it starts from or is made of.
        took: Seconds that it took in an earlier run, whose result is used; None if it is still to be done.
        estimate: Seconds that it will probably take, by what similar trainings of this experiment took here, or else
            by the rate of the language models that this workplace has trained; None if it is done, or nothing is known.
    """

    name: str
    needs: list[str]
    took: float | None
    estimate: float | None = None


def planned(experiment: Experiment) -> list[Planned]:
    """Plan a run of an experiment: text is read and tokenized, as the run would do first; nothing is trained.

    Args:
        experiment: The experiment.

    Returns:
        The source model, then every cell in the order in which they are computed.
    """
    texts = prepare_texts(experiment, Local())
    labelled = texts.documents.labelled
    cells = plan(experiment, labelled)
    there = Made(experiment, cells, texts, Look())
    source = _if_there(there.source, SourceModel())
    scores = {cell: _if_there(there.cell, cell) for cell in cells}
    # What is open can be seen only if all is there that has begun.
    while None not in scores.values() and (more := there.plan_more_seeds(labelled)):
        cells |= {spec.id: spec for spec in more}
        scores |= {spec.id: _if_there(there.cell, spec.id) for spec in more}
    known, of = list(rates()), experiment.source
    estimate = None
    if source is None and of.task == "language_model":
        estimate = language_model_seconds(experiment.model, of.language_model, texts.source_tokens, known)
    found = [Planned("source model", [], source.seconds if source else None, estimate)]
    for spec in cells.values():
        score, needs = scores[spec.id], [_name(need) for need in spec.needs]
        estimate = None if score else _estimate(spec, there.cells) or cell_seconds(spec, texts.tokens, known)
        found.append(Planned(spec.id.title, needs, score.seconds if score else None, estimate))
    return found


def _if_there(make: Callable[[N], R], need: N) -> R | None:
    try:
        return make(need)
    except NotDoneError:
        return None


def _name(need: Need) -> str:
    if isinstance(need, CellId):
        return need.title
    return "source model, backward" if need.backward else "source model"


def _estimate(spec: CellSpec, scores: dict[CellId, ScoreRef]) -> float | None:
    """Return what the most similar cell took: one of the same arm with the nearest label count."""
    same = [score for cell, score in scores.items() if (cell.task, cell.arm) == (spec.id.task, spec.id.arm)]
    if not same:
        return None
    return min(same, key=lambda score: abs(math.log((1 + score.labels) / (1 + spec.id.labels)))).seconds

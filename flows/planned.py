"""What a run would do: every cell, what it needs, what the cache has already, and how long the rest would take."""

import math
from dataclasses import dataclass

from prefect import flow

from rnnlm.experiment import Experiment
from rnnlm.flows.corpora import read_both, tokenize_both
from rnnlm.flows.target import Texts, step_of
from rnnlm.plan import CellSpec, Need, Plan, Reading, SourceModel, plan
from rnnlm.refs import CellId, CheckpointRef, Ref, ScoreRef, TokensRef
from rnnlm.tasks.cell import reads_words
from rnnlm.tasks.pretrain import pretrain
from rnnlm.tasks.step import known_result
from rnnlm.tasks.tokenize import reverse, tokenize


@dataclass(frozen=True)
class Planned:
    """What is known of a training, before the run.

    Attributes:
        name: What it is.
        needs: What it starts from or is made of.
        took: Seconds that it took in an earlier run, whose result is used; None if it is still to be done.
        estimate: Seconds that it will probably take, by what similar trainings of this experiment took here; None if
            it is done, or nothing similar has run.
    """

    name: str
    needs: list[str]
    took: float | None
    estimate: float | None = None


@flow(name="plan", flow_run_name="{experiment.name}")
def plan_run(experiment: Experiment) -> list[Planned]:
    """Plan a run of an experiment: text is read and tokenized, as the run would do first; nothing is trained.

    Args:
        experiment: The experiment.

    Returns:
        The source model, then every cell in the order in which they are computed.
    """
    documents = read_both(experiment)
    texts = Texts(*documents, *tokenize_both(experiment, *documents))
    cells = plan(experiment, texts.documents.labelled["train"])
    known = _Known(experiment, texts, cells)
    source = known.need(SourceModel())
    took = source.seconds if isinstance(source, CheckpointRef) else None
    planned = [Planned("source model", [], took)]
    for spec in cells.values():
        score = known.need(spec.id)
        found = score.seconds if isinstance(score, ScoreRef) else None
        estimate = None if score else _estimate(spec, known.scores)
        planned.append(Planned(spec.id.title, [_name(need) for need in spec.needs], found, estimate))
    return planned


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


class _Known:
    """What earlier runs have left of a comparison."""

    def __init__(self, experiment: Experiment, texts: Texts, cells: Plan) -> None:
        self._experiment, self._of, self._cells = experiment, texts, cells
        self._found: dict[Need, Ref | None] = {}

    @property
    def scores(self) -> dict[CellId, ScoreRef]:
        """The cells that are done, as far as they were asked for."""
        found = self._found.items()
        return {cell: ref for cell, ref in found if isinstance(cell, CellId) and isinstance(ref, ScoreRef)}

    def need(self, need: Need) -> Ref | None:
        """Return a model or a cell, or None if it is still to be made."""
        if need not in self._found:
            self._found[need] = self._source(need) if isinstance(need, SourceModel) else self._cell(self._cells[need])
        return self._found[need]

    def _source(self, need: SourceModel) -> Ref | None:
        tokens = known_result(reverse, self._of.source_tokens) if need.backward else self._of.source_tokens
        if tokens is None:
            return None
        of = self._experiment
        return known_result(pretrain, of.source, of.model, tokens, of.comparison.seed, parent_run_id="")

    def _cell(self, spec: CellSpec) -> Ref | None:
        needs = [self.need(need) for need in spec.needs]
        texts = [self._text(text) for text in spec.texts]
        if None in needs or None in texts:
            return None
        documents = self._of.documents if reads_words(spec) else None
        there = [need for need in needs if need], [text for text in texts if text]
        return known_result(step_of(spec, self._cells), spec, *there, documents, parent_run_id="")

    def _text(self, text: Reading) -> TokensRef | None:
        tokens: TokensRef | None = self._of.tokens
        if text.of == "source":
            same = self._of.source_tokens.tokenizer_sha256 == self._of.tokens.tokenizer_sha256
            tokens = self._of.source_tokens
            if not same:
                tokens = known_result(tokenize, self._of.source_documents, self._of.tokens)
        return known_result(reverse, tokens) if tokens and text.backward else tokens

"""The target part of a run: every cell of the comparison, and what they come to.

It is the same whether the source model was trained in this run or registered by an earlier one.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from prefect import Task

from rnnlm.arms import AsItIs, TrainedLanguageModel, language_model_arm
from rnnlm.experiment import Experiment
from rnnlm.plan import CellSpec, Need, Plan, Reading, SourceModel, needs_source, plan, readings
from rnnlm.refs import CellId, CheckpointRef, DocumentsRef, ForgettingRef, Ref, ReportRef, ScoreRef, TokensRef
from rnnlm.tasks.baseline import baseline
from rnnlm.tasks.cell import reads_words
from rnnlm.tasks.compare import compare, show
from rnnlm.tasks.finetune import finetune, measure_forgetting
from rnnlm.tasks.observe import observer, stage
from rnnlm.tasks.pretrain import pretrain
from rnnlm.tasks.step import run_step, submit_step
from rnnlm.tasks.tokenize import reverse, tokenize
from rnnlm.tracking import Run


class Texts(NamedTuple):
    """What was read and tokenized.

    Attributes:
        source_documents: The source's documents.
        documents: The target's documents.
        source_tokens: The source's documents, encoded.
        tokens: The target's documents, encoded.
    """

    source_documents: DocumentsRef
    documents: DocumentsRef
    source_tokens: TokensRef
    tokens: TokensRef


def compare_on_target(
    experiment: Experiment, source: CheckpointRef, texts: Texts, parent: str
) -> tuple[ReportRef, list[ScoreRef]]:
    """Compute every cell of the comparison, compare them, and show the report.

    Args:
        experiment: The experiment.
        source: The source model.
        texts: What was read and tokenized.
        parent: MLflow run of the flow run.

    Returns:
        The report, and the cells of which one may be put to use: the classifiers, or the language models alone.
    """
    read = {"source documents": texts.source_documents, "target documents": texts.documents}
    Run.of(parent).log_texts(read | {"source tokens": texts.source_tokens, "target tokens": texts.tokens})
    cells = plan(experiment, texts.documents.labelled["train"])
    models, classifiers = (
        [spec for spec in cells.values() if spec.id.task == task] for task in ("language_model", "classifier")
    )
    made = _Made(experiment, cells, source, texts, parent)
    with stage("Language models"):
        made.compute(spec for spec in models if not spec.reads.backward)
    with stage("Backward language models"):
        made.read_backward(readings(cells.values()))
        made.compute(spec for spec in models if spec.reads.backward)
    with stage("Source in target's tokens"):
        made.read_source(readings(cells.values()))
    with stage("Classifiers"):
        made.compute(classifiers)
    with stage("Compare"):
        scores = list(made.cells.values())
        report = run_step(
            compare,
            experiment,
            texts.source_tokens,
            source,
            texts.source_documents,
            texts.documents,
            texts.tokens,
            scores,
            made.forgetting(),
        )
        show(report, parent)
    task = "language_model" if experiment.language_models_alone else "classifier"
    return report, [score for score in scores if score.task == task]


def step_of(spec: CellSpec, cells: Plan) -> Task[..., ScoreRef]:
    """Return the step that computes a cell."""
    return finetune if needs_source(spec.id, cells) else baseline


class _Made:
    """What is there of a comparison: texts, source models and cells; and what makes more of it.

    Args:
        experiment: The experiment.
        plan: All cells.
        source: The source model.
        texts: What was read and tokenized.
        parent: MLflow run of the flow run.
    """

    def __init__(self, experiment: Experiment, plan: Plan, source: CheckpointRef, texts: Texts, parent: str) -> None:
        self._experiment, self._plan, self._of, self._parent = experiment, plan, texts, parent
        self._sources = {SourceModel(): source}
        self._texts = {Reading(of="target"): texts.tokens}
        self._running: dict[CellId, Callable[[], ScoreRef]] = {}
        self.cells: dict[CellId, ScoreRef] = {}

    def compute(self, specs: Iterable[CellSpec]) -> None:
        """Compute cells; those that need each other come in the order of the plan."""
        wanted = list(specs)
        observer().steps_ahead(len(wanted))
        for spec in wanted:
            step = step_of(spec, self._plan)
            needs = [self._need(need) for need in spec.needs]
            texts = [self._texts[text] for text in spec.texts]
            documents = self._of.documents if reads_words(spec) else None
            self._running[spec.id] = submit_step(step, spec, needs, texts, documents, self._parent)
        for spec in wanted:
            self._need(spec.id)

    def _need(self, need: Need) -> Ref:
        if isinstance(need, SourceModel):
            return self._sources[need]
        if need not in self.cells:
            self.cells[need] = self._running.pop(need)()
        return self.cells[need]

    def read_backward(self, wanted: set[Reading]) -> None:
        """Turn the target's text round, and train a source model on the source's, where cells read backwards."""
        backward = Reading(of="target", backward=True)
        if backward not in wanted:
            return
        self._texts[backward] = run_step(reverse, self._of.tokens)
        source, comparison = self._experiment.source, self._experiment.comparison
        tokens = run_step(reverse, self._of.source_tokens)
        self._sources[SourceModel(backward=True)] = run_step(
            pretrain, source, self._experiment.model, tokens, comparison.seed, self._parent
        )

    def read_source(self, wanted: set[Reading]) -> None:
        """Make the source's text in the target's tokens, where something reads it so."""
        forward, backward = Reading(of="source"), Reading(of="source", backward=True)
        if not (wanted & {forward, backward} or self._fine_tuned() is not None):
            return
        tokens = self._of.source_tokens
        if tokens.tokenizer_sha256 != self._of.tokens.tokenizer_sha256:
            tokens = run_step(tokenize, self._of.source_documents, self._of.tokens)
        self._texts[forward] = tokens
        if backward in wanted:
            self._texts[backward] = run_step(reverse, tokens)

    def forgetting(self) -> ForgettingRef | None:
        """Measure what the source model forgets when it is fine-tuned; None if no language model is compared."""
        both = self._fine_tuned()
        if both is None:
            return None
        return run_step(measure_forgetting, *both, self._texts[Reading(of="source")], self._parent)

    def _fine_tuned(self) -> tuple[ScoreRef, ScoreRef] | None:
        """Return the source's language model as it is, and fine-tuned, if both are there."""
        arms = (language_model_arm(AsItIs()), language_model_arm(TrainedLanguageModel(start="source")))
        models = {cell.arm: score for cell, score in self.cells.items() if cell.task == "language_model"}
        as_it_is, fine_tuned = (models.get(arm) for arm in arms)
        return (as_it_is, fine_tuned) if as_it_is and fine_tuned else None

"""The target part of a run: every cell of the comparison, and what they come to.

It is the same whether the source model was trained in this run or registered by an earlier one.
"""

from collections.abc import Callable, Iterable

from rnnlm.arms import AsItIs, TrainedLanguageModel, language_model_arm
from rnnlm.experiment import Experiment
from rnnlm.plan import CellSpec, LabelCounts, Need, Plan, Reading, SourceModel, plan, readings
from rnnlm.refs import CellId, CheckpointRef, ForgettingRef, Ref, ReportRef, ScoreRef, Texts, TokensRef
from rnnlm.steps.cells import documents_of, measure_forgetting, step_of
from rnnlm.steps.compare import compare, record_verdict
from rnnlm.steps.observe import observer, stage
from rnnlm.steps.pretrain import pretrain
from rnnlm.steps.runner import Runner
from rnnlm.steps.seeds import with_more_seeds
from rnnlm.steps.tokenize import reverse, tokenize


def compare_on_target(
    experiment: Experiment, source: CheckpointRef, texts: Texts, runner: Runner
) -> tuple[ReportRef, list[ScoreRef]]:
    """Compute every cell of the comparison, compare them, and record the verdict.

    Args:
        experiment: The experiment.
        source: The source model.
        texts: What was read and tokenized.
        runner: What runs the steps.

    Returns:
        The report, and the cells of which one may be put to use: the models of the target task, or the language models
        where there are no others.
    """
    read = {"source documents": texts.source_documents, "target documents": texts.documents}
    runner.tracker.log_texts(read | {"source tokens": texts.source_tokens, "target tokens": texts.tokens})
    labelled = texts.documents.labelled
    cells = plan(experiment, labelled)
    task = "language_model" if experiment.language_models_alone else experiment.target.training.model
    models = [spec for spec in cells.values() if spec.id.task == "language_model"]
    of_labels = [spec for spec in cells.values() if spec.id.task != "language_model"]
    made = Made(experiment, cells, texts, runner, source)
    with stage("Language models"):
        made.compute(spec for spec in models if not spec.reads.backward)
    with stage("Backward language models"):
        made.compute(spec for spec in models if spec.reads.backward)
    with stage("Forgetting"):
        forgetting = made.forgetting()
    with stage("Source in target's tokens"):
        made.read(readings(cells.values()))
    with stage(f"{experiment.target.training.model.capitalize()}s"):
        made.compute(of_labels)
    while more := made.plan_more_seeds(labelled):
        with stage("More seeds, where the answer is open"):
            made.compute(more)
    with stage("Compare"):
        report = runner.run(
            compare,
            experiment,
            texts,
            source,
            list(made.cells.values()),
            forgetting,
        )
        record_verdict(report, runner.tracker)
    return report, [score for score in made.cells.values() if score.task == task]


class Made:
    """What there is of a comparison: texts, source models and cells. What is asked for and is not there is made.

    Args:
        experiment: The experiment.
        plan: All cells.
        texts: What was read and tokenized.
        runner: What runs the steps.
        source: The source model; if None, the experiment's own is made when it is needed.
    """

    def __init__(
        self, experiment: Experiment, plan: Plan, texts: Texts, runner: Runner, source: CheckpointRef | None = None
    ) -> None:
        self._experiment, self._plan, self._of, self._runner = experiment, plan, texts, runner
        self._sources = {SourceModel(): source} if source else {}
        self._texts = {Reading(of="target"): texts.tokens}
        self._running: dict[CellId, Callable[[], ScoreRef]] = {}
        self.cells: dict[CellId, ScoreRef] = {}

    def compute(self, specs: Iterable[CellSpec]) -> None:
        """Compute cells, several at once where the runner can; what they need is computed before."""
        wanted = list(specs)
        observer().steps_ahead(len(wanted))
        for spec in wanted:
            self._begin(spec)
        for spec in wanted:
            self.cell(spec.id)

    def plan_more_seeds(self, labelled: LabelCounts) -> list[CellSpec]:
        """Plan the next seeds of the comparisons that are open, and return their cells; all others are computed.

        Args:
            labelled: Number of the target's labelled documents of each split.
        """
        self._plan = with_more_seeds(self._experiment, labelled, self.cells)
        return [spec for spec in self._plan.values() if spec.id not in self.cells]

    def _begin(self, spec: CellSpec) -> None:
        if spec.id in self._running or spec.id in self.cells:
            return
        needs = [self._need(need) for need in spec.needs]
        texts = [self.text(text) for text in spec.texts]
        documents = documents_of(spec, self._of)
        self._running[spec.id] = self._runner.submit(step_of(spec, self._plan), spec, needs, texts, documents)

    def _need(self, need: Need) -> Ref:
        return self.source(need) if isinstance(need, SourceModel) else self.cell(need)

    def cell(self, cell: CellId) -> ScoreRef:
        """Return a cell."""
        if cell not in self.cells:
            self._begin(self._plan[cell])
            self.cells[cell] = self._running.pop(cell)()
        return self.cells[cell]

    def source(self, need: SourceModel) -> CheckpointRef:
        """Return a source model; a backward one is trained on the source's text turned round."""
        if need not in self._sources:
            of, tokens = self._experiment, self._of.source_tokens
            if need.backward:
                tokens = self._runner.run(reverse, tokens)
            self._sources[need] = self._runner.run(pretrain, of.source, of.model, tokens, of.comparison.seed)
        return self._sources[need]

    def read(self, wanted: Iterable[Reading]) -> None:
        """Make texts."""
        for text in sorted(wanted, key=str):
            self.text(text)

    def text(self, text: Reading) -> TokensRef:
        """Return a text over the target's vocabulary."""
        if text not in self._texts:
            self._texts[text] = self._read(text)
        return self._texts[text]

    def _read(self, text: Reading) -> TokensRef:
        if text.backward:
            return self._runner.run(reverse, self.text(Reading(of=text.of)))
        if self._of.source_tokens.tokenizer_sha256 == self._of.tokens.tokenizer_sha256:
            return self._of.source_tokens
        return self._runner.run(tokenize, self._of.source_documents, self._of.tokens)

    def forgetting(self) -> ForgettingRef | None:
        """Measure what the source model forgets when it is fine-tuned; None if no language model is compared."""
        arms = (language_model_arm(AsItIs()), language_model_arm(TrainedLanguageModel(start="source")))
        models: dict[str, ScoreRef] = {}
        for cell, score in self.cells.items():
            if cell.task == "language_model":
                models.setdefault(cell.arm, score)  # the first seed's
        as_it_is, fine_tuned = (models.get(arm) for arm in arms)
        if not as_it_is or not fine_tuned:
            return None
        return self._runner.run(measure_forgetting, as_it_is, fine_tuned, self.text(Reading(of="source")))

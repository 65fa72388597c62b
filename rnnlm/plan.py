"""The whole comparison as data, before anything runs: every cell, and what it needs."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from rnnlm.arms import (
    ARMS,
    Adapted,
    Arm,
    AsItIs,
    Counted,
    MeanOf,
    MixedWithNgrams,
    Smoothing,
    Solved,
    SolvedModel,
    Trained,
    TrainedLanguageModel,
    language_model_arm,
)
from rnnlm.experiment import Experiment, Validation, all_labels, validation_of
from rnnlm.refs import CellId, ModelKind
from rnnlm.settings import (
    Adaptation,
    ClassifierTraining,
    ClassWeights,
    LanguageModelTraining,
    Model,
    RegressorTraining,
    TaggerTraining,
    Trainable,
    WordMap,
    trains_all,
)


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceModel(_Value):
    """The source model, as one of the things that a cell may need.

    Attributes:
        backward: Whether it is the one that reads from the last token to the first.
    """

    backward: bool = False


class Reading(_Value):
    """A text over the target's vocabulary.

    Attributes:
        of: Whose text.
        backward: Whether its documents are turned round.
    """

    of: Literal["source", "target"]
    backward: bool = False


TARGET = Reading(of="target")
Need = CellId | SourceModel


class TrainLanguageModel(_Value):
    """Train a language model on the target's text; it starts from what the cell needs, or from random weights."""

    kind: Literal["train language model"] = "train language model"
    model: Model
    word_map: WordMap
    language_model: LanguageModelTraining


class ScoreSource(_Value):
    """Score the source model over the target's vocabulary as it is."""

    kind: Literal["score source"] = "score source"
    model: Model
    word_map: WordMap


class AdaptLanguageModel(_Value):
    """Score the needed language model while it adapts to what it reads."""

    kind: Literal["adapt language model"] = "adapt language model"
    adaptation: Adaptation


class CountNgrams(_Value):
    """Count an n-gram model of the target's text."""

    kind: Literal["count n-grams"] = "count n-grams"
    smoothing: Smoothing
    order: int


class MixWithNgrams(_Value):
    """Interpolate the needed language model with Kneser-Ney."""

    kind: Literal["mix with n-grams"] = "mix with n-grams"
    order: int


class TrainTarget(_Value):
    """Train a model of the target task; its encoder starts from what the cell needs, or from random weights.

    Attributes:
        model: Widths, layers, dropout.
        word_map: How the words come to their rows that the start does not know.
        trainable: What is trained.
        training: Epochs, batch, learning rates, and what the target task has of its own.
        validation: Which of its labels choose the model.
        beside: How text is read beside the labels; None if none is.
        beside_text: Which text that is.
        known_text: The text that the start knows, for ways of fine-tuning that ask which weights matter to it.
    """

    kind: Literal["train target model"] = "train target model"
    model: Model
    word_map: WordMap
    trainable: Trainable
    training: ClassifierTraining | RegressorTraining | TaggerTraining
    validation: Validation
    beside: LanguageModelTraining | None = None
    beside_text: Reading | None = None
    known_text: Reading | None = None


class AskSource(_Value):
    """Ask the source's classifier as it is about the target's documents; no target label is learnt.

    Attributes:
        word_map: How the words come to their rows that it does not know.
        validation: Which labels choose its temperature.
    """

    kind: Literal["ask source"] = "ask source"
    word_map: WordMap
    validation: Validation


class SolveLinear(_Value):
    """Solve a model of the target task.

    Attributes:
        model: A linear model on TF-IDF of words, NB-SVM, a linear model on vectors, or a CRF for tags.
        select: The score that chooses the strength of the penalty.
        validation: Which of its labels choose it.
        class_weights: Whether rare classes count more; for classifiers.
        source_labels: Whether the source's labelled documents are learnt, too.
    """

    kind: Literal["solve"] = "solve"
    model: SolvedModel
    select: str
    validation: Validation
    source_labels: bool = False
    class_weights: ClassWeights = "none"


class AverageModels(_Value):
    """Average what the needed models say.

    Attributes:
        validation: Which of their labels choose the weights.
        arms: Their arms, in the order of the needs.
        weighted: Whether they are weighted (classifiers: their logits). If not, it is the plain mean (classifiers: of
            their probabilities).
    """

    kind: Literal["average models"] = "average models"
    validation: Validation
    arms: tuple[str, ...]
    weighted: bool = False


Work = Annotated[
    TrainLanguageModel
    | ScoreSource
    | AdaptLanguageModel
    | CountNgrams
    | MixWithNgrams
    | TrainTarget
    | AskSource
    | SolveLinear
    | AverageModels,
    Field(discriminator="kind"),
]


class CellSpec(_Value):
    """A cell of the comparison before it is computed: all that its result depends on, but for the texts themselves.

    Attributes:
        id: Which cell it is.
        work: What is done.
        needs: The models and cells that it starts from or is made of.
        reads: The text that it is trained and scored on.
    """

    id: CellId
    work: Work
    needs: tuple[Need, ...] = ()
    reads: Reading = TARGET

    @property
    def texts(self) -> tuple[Reading, ...]:
        """All texts that it reads, each once."""
        beside = (self.work.beside_text, self.work.known_text) if isinstance(self.work, TrainTarget) else ()
        return tuple(dict.fromkeys(text for text in (self.reads, *beside) if text is not None))


Plan = dict[CellId, CellSpec]
Group = tuple[ModelKind, str, int]  # task, arm, label count
SeedCounts = Mapping[Group, int]
LabelCounts = Mapping[str, int]  # labelled documents of each split


def seeds_of(cells: Iterable[CellId]) -> SeedCounts:
    """Return how many seeds each group of cells has."""
    found: dict[Group, set[int]] = {}
    for cell in cells:
        found.setdefault(group_of(cell), set()).add(cell.seed)
    return {group: len(seeds) for group, seeds in found.items()}


def group_of(cell: CellId) -> Group:
    """Return what the cells of all seeds have in common."""
    return cell.task, cell.arm, cell.labels


def united(seeds: SeedCounts, more: SeedCounts) -> SeedCounts:
    """Return the greater number of seeds of each group."""
    return {**seeds, **{group: max(number, seeds.get(group, 0)) for group, number in more.items()}}


def can_grow(experiment: Experiment, group: Group) -> bool:
    """Return whether the cells of a group get more seeds if their comparison is open."""
    task, arm, _ = group
    comparison = experiment.comparison
    if not comparison.looks or task != "language_model":
        return bool(comparison.looks)
    fit = ARMS[arm].language_model if arm in ARMS else None
    # A backward language model is there for a classifier alone.
    compared = comparison.language_models and not (isinstance(fit, TrainedLanguageModel) and fit.backward)
    return comparison.seeds_language_model == "auto" and compared


def plan(experiment: Experiment, labelled: LabelCounts, seeds: SeedCounts = MappingProxyType({})) -> Plan:
    """Return every cell of a comparison; each comes after those that it needs.

    Args:
        experiment: The experiment.
        labelled: Number of the target's labelled documents of each split.
        seeds: How many seeds there are of groups that got more than they began with (`seeds: auto`).
    """
    waiting = deque((*_language_models(experiment, seeds), *_target_models(experiment, labelled, seeds)))
    cells = {spec.id: spec for spec in waiting}
    while waiting:
        for need in waiting.popleft().needs:
            # A language model that is not compared, but that another model starts from; or a part of a mean.
            if isinstance(need, CellId) and need not in cells:
                cells[need] = _cell(experiment, need, labelled)
                waiting.append(cells[need])
    return dict(sorted(cells.items(), key=lambda cell: _order(cell[1], cells)))


def _order(spec: CellSpec, cells: Plan) -> tuple[bool, bool, int]:
    """Bring language models first, of these the backward ones last, and what is made of others behind."""
    language_model = spec.id.task == "language_model"
    return not language_model, language_model and spec.reads.backward, _depth(spec, cells)


def _depth(spec: CellSpec, cells: Plan) -> int:
    """Return how many cells of its own task have to be made one after the other before this one."""
    of_its_task = [need for need in spec.needs if isinstance(need, CellId) and need.task == spec.id.task]
    return max((1 + _depth(cells[need], cells) for need in of_its_task), default=0)


def _cell(experiment: Experiment, cell: CellId, labelled: LabelCounts) -> CellSpec:
    """Return what is known of a cell before it is computed."""
    arm = ARMS[cell.arm]
    if cell.task == "language_model":
        return _language_model(experiment, arm, cell.seed)
    return _target_model(experiment, arm, cell.labels, cell.seed, labelled)


def _language_models(experiment: Experiment, seeds: SeedCounts) -> Iterator[CellSpec]:
    """Return the language models that are compared; `plan` adds those that others start from."""
    target = experiment.target
    if target.language_model is None or not experiment.comparison.language_models:
        return
    for arm in ARMS.values():
        match arm.language_model:
            case TrainedLanguageModel(backward=False) | AsItIs():
                wanted = True
            case Adapted(kind=kind):
                wanted = kind in target.adaptations
            case Counted() | MixedWithNgrams():
                wanted = target.ngram_order is not None
            case _:
                wanted = False
        for seed in _language_model_seeds(experiment, arm, seeds) if wanted else ():
            yield _language_model(experiment, arm, seed)


def _language_model_seeds(experiment: Experiment, arm: Arm, seeds: SeedCounts) -> range:
    """Return the seeds of an arm's language models; one is enough where every seed gives the same model."""
    comparison = experiment.comparison
    number = comparison.seeds_language_model
    if number == "auto":
        number = seeds.get(("language_model", arm.name, 0), comparison.looks[0])
    return range(comparison.seed, comparison.seed + (1 if arm.seedless else number))


def _language_model(experiment: Experiment, arm: Arm, seed: int) -> CellSpec:
    target, model = experiment.target, experiment.model
    found = CellId(task="language_model", arm=arm.name, labels=0, seed=seed)

    def of(name: str) -> tuple[CellId]:
        return (found.model_copy(update={"arm": name}),)

    match arm.language_model:
        case TrainedLanguageModel(start, backward):
            assert target.language_model is not None
            work = TrainLanguageModel(model=model, word_map=target.word_map, language_model=target.language_model)
            needs = (SourceModel(backward=backward),) if start else ()
            return CellSpec(id=found, work=work, needs=needs, reads=Reading(of="target", backward=backward))
        case AsItIs():
            return CellSpec(id=found, work=ScoreSource(model=model, word_map=target.word_map), needs=(SourceModel(),))
        case Adapted(name, kind):
            return CellSpec(id=found, work=AdaptLanguageModel(adaptation=kind), needs=of(name))
        case Counted(smoothing):
            return CellSpec(id=found, work=CountNgrams(smoothing=smoothing, order=target.ngram_order or 1))
        case MixedWithNgrams(name):
            return CellSpec(id=found, work=MixWithNgrams(order=target.ngram_order or 1), needs=of(name))
        case None:
            raise ValueError(f"the arm {arm.name} has no language model")


def _target_models(experiment: Experiment, labelled: LabelCounts, seeds: SeedCounts) -> Iterator[CellSpec]:
    """Return every arm at every number of labels with every seed."""
    comparison = experiment.comparison
    task = cast(ModelKind, experiment.target.training.model)
    # A number of labels may be all that there are: that is one group of cells, not two.
    numbers: dict[int, int] = {}
    for size in comparison.labels:
        labels = all_labels(comparison.counts_validation, labelled) if size == "all" else size
        number = comparison.seeds if comparison.seeds == "auto" or size != "all" else comparison.seeds_all
        numbers[labels] = max(numbers.get(labels, 0), comparison.looks[0] if number == "auto" else number)
    for labels, number in numbers.items():
        by_arm = {name: seeds.get((task, name, labels), number) for name in comparison.arms}
        for n in range(max(by_arm.values(), default=0)):
            for name in comparison.arms:
                if n < by_arm[name]:
                    yield _target_model(experiment, ARMS[name], labels, comparison.seed + n, labelled)


def _target_model(experiment: Experiment, arm: Arm, labels: int, seed: int, labelled: LabelCounts) -> CellSpec:
    training = experiment.target.training
    validation = validation_of(experiment.comparison.counts_validation, labels, labelled)
    found = CellId(task=training.model, arm=arm.name, labels=labels, seed=seed)
    match arm.target:
        case Trained() as fit:
            start, beside = _start(experiment, fit, seed), _beside(experiment, fit)
            work = TrainTarget(
                model=experiment.model,
                word_map=experiment.target.word_map,
                trainable=fit.trainable,
                training=training.model_copy(update={"layers": "mixed"}) if fit.mixed else training,
                validation=validation,
                beside=beside,
                beside_text=Reading(of="source" if fit.beside == "source_text" else "target") if beside else None,
                known_text=_known_text(experiment, fit),
            )
            reads = Reading(of="target", backward=fit.backward)
            return CellSpec(id=found, work=work, needs=(start,) if start else (), reads=reads)
        case AsItIs():
            ask = AskSource(word_map=experiment.target.word_map, validation=validation)
            return CellSpec(id=found, work=ask, needs=(SourceModel(),))
        case Solved(model, source_labels):
            weights = training.class_weights if isinstance(training, ClassifierTraining) else "none"
            solve = SolveLinear(
                model=model,
                class_weights=weights,
                select=training.select,
                validation=validation,
                source_labels=source_labels,
            )
            return CellSpec(id=found, work=solve)
        case MeanOf(arms, weighted):
            names = arms or experiment.comparison.mean_of
            parts = tuple(found.model_copy(update={"arm": name}) for name in names)
            average = AverageModels(arms=tuple(names), weighted=weighted, validation=validation)
            return CellSpec(id=found, work=average, needs=parts)
        case None:
            raise ValueError(f"the arm {arm.name} has no model of the target task")


def _start(experiment: Experiment, fit: Trained, seed: int) -> Need | None:
    """Return what an encoder starts from; None if from random weights.

    Args:
        experiment: The experiment.
        fit: How the model is trained.
        seed: Its seed. It starts from the language model of this seed, or from the only one.
    """
    if fit.start is None:
        return None
    if fit.start == "source" or (fit.start == "fine_tuned_source" and experiment.target.language_model is None):
        return SourceModel(backward=fit.backward)
    of_source = fit.start == "fine_tuned_source"
    name = language_model_arm(TrainedLanguageModel(start="source" if of_source else None, backward=fit.backward))
    shared = experiment.comparison.seeds_language_model == 1
    return CellId(task="language_model", arm=name, labels=0, seed=experiment.comparison.seed if shared else seed)


def _beside(experiment: Experiment, fit: Trained) -> LanguageModelTraining | None:
    if fit.beside is None:
        return None
    return experiment.source.language_model if fit.beside == "source_text" else experiment.target.language_model


def _known_text(experiment: Experiment, fit: Trained) -> Reading | None:
    """Return the text that a start knows, where a way of fine-tuning asks which weights matter to it."""
    if not experiment.target.training.needs_fisher or fit.start is None or not trains_all(fit.trainable):
        return None
    return Reading(of="target" if fit.start == "target_text" else "source", backward=fit.backward)


def validations(cells: Plan) -> dict[int, Validation]:
    """Return how the models of the target task are chosen at each number of labels."""
    works = {spec.id.labels: spec.work for spec in cells.values()}
    of_labels = TrainTarget | AskSource | SolveLinear | AverageModels
    found = {n: work.validation for n, work in works.items() if isinstance(work, of_labels)}
    return dict(sorted(found.items()))


def all_needs(cell: CellId, cells: Plan) -> set[Need]:
    """Return all that a cell needs, and what that needs, down to the source model."""
    found: set[Need] = set()
    waiting: list[Need] = [cell]
    while waiting:
        need = waiting.pop()
        for below in cells[need].needs if isinstance(need, CellId) else ():
            if below not in found:
                found.add(below)
                waiting.append(below)
    return found


def needs_source(cell: CellId, cells: Plan) -> bool:
    """Return whether a cell owes anything to the source: its model, its text, or its labels."""
    needs = all_needs(cell, cells)
    specs = [cells[one] for one in (cell, *needs) if isinstance(one, CellId)]
    return (
        any(isinstance(need, SourceModel) for need in needs)
        or any(text.of == "source" for spec in specs for text in spec.texts)
        or any(isinstance(spec.work, SolveLinear) and spec.work.source_labels for spec in specs)
    )


def seconds_before(cell: CellId, cells: Plan, seconds: Mapping[CellId, float], of_source: float) -> float:
    """Return the seconds of all that a cell needs: what it would cost to make that for this cell alone.

    Args:
        cell: The cell.
        cells: All cells.
        seconds: What each of them took.
        of_source: What the source model took; one that reads backwards is counted as the other.
    """
    return sum(of_source if isinstance(need, SourceModel) else seconds[need] for need in all_needs(cell, cells))


def readings(cells: Iterable[CellSpec]) -> set[Reading]:
    """Return all texts that cells read."""
    return {text for spec in cells for text in spec.texts}

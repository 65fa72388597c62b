"""The comparison's numbers in one typed value: what `verdict.json` holds and the report draws."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from rnnlm.experiment import Validation
from rnnlm.refs import ModelKind

# equal: the gain is surely too small to matter. open: none of the others can be said yet.
# no claim: there are too few test documents to say any of the others.
Outcome = Annotated[
    Literal["positive", "equal", "negative", "open", "no claim"],
    # What a verdict of an earlier version calls it.
    BeforeValidator(lambda value: "open" if value == "none found" else value),
]
# training: what another seed would give, too, from the same source model and (if they have one seed) the same language
# models of the target. models: the two models that were trained with one seed.
About = Literal["training", "models"]


SCHEMA_VERSION = 3


class Interval(BaseModel):
    """An estimate with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


class Point(BaseModel):
    """One evaluation while a model was trained.

    Attributes:
        step: Training steps taken.
        tokens: Training tokens read (or documents, for a target model).
        train_loss: Mean training loss since the last point, in nats.
        metrics: Scores on the validation split, by name.
    """

    model_config = ConfigDict(frozen=True)

    step: int
    tokens: int
    train_loss: float
    metrics: dict[str, float]


class Cell(BaseModel):
    """One arm at one number of labels with one seed, scored on the test split.

    Attributes:
        task: What the model does.
        arm: Way of transfer or baseline.
        labels: Number of labels that it was trained and chosen on; 0 for a language model.
        seed: The seed.
        metrics: The target task's scores (`rnnlm.targets`), or perplexity, bits_per_character and nll (nats a token) of
            a language model; `valid/...` of the documents that chose it.
        seconds: Wall-clock time.
        seconds_before: That of what it starts from: the source model, and a language model of the target.
        history: The learning curve.
        output: Name of its folder in the store, where its predictions are.
    """

    model_config = ConfigDict(frozen=True)

    task: ModelKind
    arm: str
    labels: int
    seed: int
    metrics: dict[str, float]
    seconds: float
    seconds_before: float = 0.0
    history: list[Point]
    output: str = ""


class Gain(BaseModel):
    """What an arm gains over a baseline, at one number of labels.

    Attributes:
        baseline: What the arm is compared with: `scratch`, `target_text`, `kneser_ney`, `tfidf` or `crf`.
        metric: What the arms are judged by: the target task's measure, or bits_per_character. Where lower is better, a
            gain is what is saved.
        gain: Mean over seeds with its 95 % interval; above zero is better than the baseline, for every metric. Where
            seeds are added while a comparison is open, the intervals at all looks together hold with 95 %, so each is
            wider. Where the outcome is `no claim`, the interval is shown nowhere.
        spread: Standard deviation of the gain over seeds; None with a single seed.
        seeds: Number of seeds.
        about: What the interval and the outcome are about: the way of training, or (with one seed, where nothing says
            how much seeds differ) these two models only.
        spread_from: The label count that says how much seeds differ, if the arm or the baseline has one seed: a smaller
            one, or that of the gain itself, where other arms have several.
        margin: The difference that is too small to matter; None in a verdict of an earlier version.
        seeds_to_decide: With how many seeds an open gain would probably be decided, if it is as large as it seems; None
            if no number up to 100 is enough, or it is not open.
        documents: Number of test documents, of tags those with an entity that is there or was found; 0 in a verdict of
            an earlier version.
        differing: Those on which the two are not equally good.
        p_value: Probability of a gain so far from zero if there were none, adjusted for the looks at growing numbers of
            seeds, and by Holm's method for all arms that are compared with this baseline at this number of labels; None
            where the outcome is `no claim`.
        outcome: What the interval and the p-value allow to say.
        sentence: The same in words.
        only_arm: Test documents that the arm alone gets right, summed over seeds; None where answers are not right or
            wrong.
        only_baseline: Those that the baseline alone gets right.
        mcnemar_p: Probability of counts so far apart if neither were better (McNemar's exact test), of this pair by
            itself; None with several seeds, whose documents are the same ones, and where answers are not right or
            wrong.
    """

    model_config = ConfigDict(frozen=True)

    task: ModelKind
    metric: str
    arm: str
    baseline: str = "scratch"
    labels: int
    gain: Interval
    spread: float | None
    seeds: int
    about: About = "training"
    spread_from: int | None = None
    margin: float | None = None
    seeds_to_decide: int | None = None
    documents: int = 0
    differing: int = 0
    p_value: float | None
    outcome: Outcome
    sentence: str
    only_arm: int | None = None
    only_baseline: int | None = None
    mcnemar_p: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, values: Any) -> Any:
        """Say of a gain with one seed, which says nothing itself, that it is about two models."""
        if isinstance(values, dict) and "about" not in values and values.get("seeds") == 1:
            return values | {"about": "models"}
        return values


class Recommendation(BaseModel):
    """The arm to use at a number of labels.

    Attributes:
        task: What the model does.
        labels: Number of labels; 0 for a language model.
        arm: The arm.
    """

    model_config = ConfigDict(frozen=True)

    task: ModelKind
    labels: int
    arm: str


class Equivalence(BaseModel):
    """How many labels training from scratch needs to be as good as a way of transfer.

    Attributes:
        arm: The way of transfer.
        labels: Number of labels that it had.
        needed: Number of labels that scratch needs; None: more than `most`.
        low: Lower end of its 95 % interval; None: more than `most`.
        high: Upper end; None: more than `most`.
        least: Smallest number of labels that scratch was given: a `needed` of it means that number or fewer.
        most: Largest number.
    """

    model_config = ConfigDict(frozen=True)

    arm: str
    labels: int
    needed: float | None
    low: float | None
    high: float | None
    least: int
    most: int


class MoreLabels(BaseModel):
    """What an arm would gain with more labels.

    Attributes:
        labels: Number of labels.
        gain: How much better it would be than with the most that it had.
    """

    model_config = ConfigDict(frozen=True)

    labels: int
    gain: Interval


class LabelCurve(BaseModel):
    """What more labels would bring an arm, by how its score has risen with them.

    Attributes:
        arm: The arm.
        least: Smallest number of labels that it had.
        most: Largest number.
        further: A round number more than that.
        gains: What it would gain with more, `further` among them, up to twice as many.
    """

    model_config = ConfigDict(frozen=True)

    arm: str
    least: int
    most: int
    further: int
    gains: list[MoreLabels]


class Forgetting(BaseModel):
    """The source model on its own test text, before and after it was fine-tuned on the target's.

    Attributes:
        before: Bits per character before.
        after: Bits per character after.
        lost: After less before, with its interval over documents.
        perplexity_before: Perplexity before, over the target's vocabulary.
        perplexity_after: Perplexity after.
        documents: Number of documents.
        sentence: The same in words.
    """

    model_config = ConfigDict(frozen=True)

    before: float
    after: float
    lost: Interval
    perplexity_before: float
    perplexity_after: float
    documents: int
    sentence: str


class ClassScores(BaseModel):
    """How well an arm finds one class.

    Attributes:
        label: The class.
        precision: Share of the documents said to be of it that are; 0 if none was.
        recall: Share of its documents that were said to be of it; 0 if it has none.
        f1: Their harmonic mean.
        support: Its documents, summed over seeds.
    """

    model_config = ConfigDict(frozen=True)

    label: str
    precision: float
    recall: float
    f1: float
    support: int


class Confusion(BaseModel):
    """Which classes an arm takes for which.

    Attributes:
        arm: The arm.
        labels: Number of labels that it learnt from.
        seeds: Number of seeds.
        classes: The scores of each class.
        counts: Test documents of each class (rows) said to be of each class (columns), summed over seeds; empty with
            more than twelve classes.
    """

    model_config = ConfigDict(frozen=True)

    arm: str
    labels: int
    seeds: int
    classes: list[ClassScores]
    counts: list[list[int]]


class Example(BaseModel):
    """A document that one of two arms answers better.

    Attributes:
        id: The document's.
        label: Its class, its number or its entities.
        right: What the better arm said, of its seeds the one that is furthest from the label; empty in verdicts of
            earlier versions, which have classes alone.
        said: What the other arm said, of its seeds the one that is nearest to the label.
        probability: What the better arm gave to the class, in the mean over seeds; None if labels are no classes.
        text: Its beginning.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    label: str
    right: str = ""
    said: str
    probability: float | None
    text: str


class Examples(BaseModel):
    """Test documents that one arm answers better with every seed than another with any.

    Of classes these are the documents that only one of the two gets right.

    Attributes:
        arm: A way of transfer.
        baseline: What it is compared with.
        labels: Number of labels that both learnt from.
        seeds: Number of seeds.
        documents: Number of test documents.
        only_arm: How many of them the arm answers better.
        only_baseline: How many the baseline answers better.
        of_arm: Some that the arm answers better, the clearest first.
        of_baseline: Some that the baseline answers better.
    """

    model_config = ConfigDict(frozen=True)

    arm: str
    baseline: str
    labels: int
    seeds: int
    documents: int
    only_arm: int
    only_baseline: int
    of_arm: list[Example]
    of_baseline: list[Example]


class Coverage(BaseModel):
    """What a rung of the word map took of the target's vocabulary.

    Attributes:
        rung: How these words came to their first rows.
        types: Number of tokens of the vocabulary.
        tokens: How often they occur in the target's training text.
    """

    model_config = ConfigDict(frozen=True)

    rung: str
    types: int
    tokens: int


class SharedPassages(BaseModel):
    """Test documents of the target that share thirteen words in a row with a text that the models read.

    Attributes:
        source: How many share them with the source's text.
        target: How many share them with the target's own training or validation text.
        gains: Every arm against scratch, without all of these documents; empty if there are none, and without those of
            a task that has no other test documents.
    """

    model_config = ConfigDict(frozen=True)

    source: int
    target: int
    gains: list[Gain] = []


class Verdict(BaseModel):
    """All that the comparison found.

    Attributes:
        experiment: Name of the experiment.
        schema_version: Version of this form; a change that a reader has to know of raises it. 1 had no such number, and
            called an open gain `none found`. From 3 on, a number of labels counts those that chose the model, unless
            `validation` says `split`.
        outcome: Whether the source helps the target task, in a word.
        outcomes: The same of each task by itself: of the language model and of the target task.
        summary: What came out, in a few sentences.
        sentences: The verdict in plain words, most important first.
        warnings: How many of the sentences, the first ones, say how far the others can be trusted.
        cells: Every score.
        recommended: The arm to use for each task and number of labels.
        gains: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone: what the source adds to it.
        tradition: Scratch, transfer and mixtures against Kneser-Ney (language models), TF-IDF and others (target task).
        equivalences: How many labels scratch needs to be as good as each way of transfer.
        label_curves: What more labels would bring each arm whose score rises with them as an inverse power law.
        forgetting: What the source model lost on its own text when it was fine-tuned; None if no language model was.
        confusions: Which classes each classifier takes for which, at its largest number of labels; for classes only.
        examples: Documents that one of the two answers better, the best way of transfer or scratch.
        coverage: What each rung of the word map took; empty where source and target share a tokenizer.
        source: What is known of the source model (task, tokens, scores, seconds).
        documents: Documents of the target by split.
        validation: How models of the target task were chosen, by their number of labels. It is empty where there are
            none, and in a verdict of an earlier version, where the validation split chose and was not counted.
        left_out: What was left out of the source and the target when they were read, by reason.
        overlap: Documents that were in two splits of the source and of the target, by pair of splits (`train+test`).
        unknown: Share of unknown tokens of the source and of the target.
        read_before: Test documents of the target that are in the source's text, too.
        shared_passages: Test documents of the target that share a passage with what the models read; None in a
            verdict of an earlier version.
        digests: Digests of documents, tokens, tokenizers and models, by name.
        versions: Versions of Python and of the libraries.
        seconds: Seconds of each part of the run.
        busy_cores: Cores that each part kept busy on average, where it is known.
        configuration: The whole experiment.
        command: The command that repeats it.
    """

    model_config = ConfigDict(frozen=True)

    experiment: str
    schema_version: int = 1
    outcome: Outcome | None = None
    outcomes: dict[ModelKind, Outcome] = {}
    summary: str = ""
    sentences: list[str]
    warnings: int = 0
    cells: list[Cell]
    recommended: list[Recommendation] = []
    gains: list[Gain]
    beyond: list[Gain] = []
    tradition: list[Gain] = []
    equivalences: list[Equivalence] = []
    label_curves: list[LabelCurve] = []
    forgetting: Forgetting | None = None
    confusions: list[Confusion] = []
    examples: list[Examples] = []
    coverage: list[Coverage] = []
    source: dict[str, float | int | str]
    documents: dict[str, int]
    validation: dict[int, Validation] = {}
    left_out: dict[str, dict[str, int]] = {}
    overlap: dict[str, dict[str, int]] = {}
    unknown: dict[str, float] = {}
    read_before: int = 0
    shared_passages: SharedPassages | None = None
    digests: dict[str, str]
    versions: dict[str, str]
    seconds: dict[str, float]
    busy_cores: dict[str, float] = {}
    configuration: dict[str, object]
    command: str

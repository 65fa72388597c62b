"""The comparison's numbers in one typed value: what `verdict.json` holds and the report draws."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["positive", "none found", "negative"]


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
        tokens: Training tokens read (or documents, for a classifier).
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
        task: Language model or classifier.
        arm: Way of transfer or baseline.
        labels: Number of labelled training documents; 0 for a language model.
        seed: The seed.
        metrics: accuracy, macro_f1, nll (nats a document) for a classifier; perplexity, bits_per_character,
            nll (nats a token) for a language model; `valid/...` for the validation split.
        seconds: Wall-clock time.
        history: The learning curve.
    """

    model_config = ConfigDict(frozen=True)

    task: Literal["language_model", "classifier"]
    arm: str
    labels: int
    seed: int
    metrics: dict[str, float]
    seconds: float
    history: list[Point]


class Gain(BaseModel):
    """What an arm gains over a baseline, at one number of labels.

    Attributes:
        baseline: What the arm is compared with: `scratch`, `target_text`, `kneser_ney` or `tfidf`.
        metric: accuracy (higher is better), or bits_per_character (lower is better: a gain is what is saved).
        gain: Mean over seeds with its 95 % interval; above zero is better than the baseline, for every metric.
        spread: Standard deviation of the gain over seeds; none with a single seed.
        seeds: Number of seeds.
        p_value: Probability of a gain so far from zero if there were none, adjusted by Holm's method for all arms that
            are compared with this baseline at this number of labels.
        outcome: What the interval and the p-value allow to say.
        sentence: The same in words.
    """

    model_config = ConfigDict(frozen=True)

    task: Literal["language_model", "classifier"]
    metric: str
    arm: str
    baseline: str = "scratch"
    labels: int
    gain: Interval
    spread: float | None
    seeds: int
    p_value: float
    outcome: Outcome
    sentence: str


class Equivalence(BaseModel):
    """How many labels training from scratch needs to be as good as a way of transfer.

    Attributes:
        arm: The way of transfer.
        labels: Number of labels that it had.
        needed: Number of labels that scratch needs; None: more than `most`.
        low: Lower end of its 95 % interval; None: more than `most`.
        high: Upper end; None: more than `most`.
        least: Smallest number of labels that scratch was given: a `needed` of it means so many or fewer.
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


class Coverage(BaseModel):
    """What a rung of the word map took of the target's vocabulary.

    Attributes:
        rung: How these words came to their first rows.
        types: Number of tokens of the vocabulary.
        tokens: How often they stand in the target's training text.
    """

    model_config = ConfigDict(frozen=True)

    rung: str
    types: int
    tokens: int


class Verdict(BaseModel):
    """All that the comparison found.

    Attributes:
        experiment: Name of the experiment.
        sentences: The verdict in plain words, most important first.
        cells: Every score.
        gains: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone: what the source adds to it.
        tradition: Scratch, transfer and mixtures against Kneser-Ney (language models) and TF-IDF (classifiers).
        equivalences: How many labels scratch needs to be as good as each way of transfer.
        coverage: What each rung of the word map took; empty where source and target share a tokenizer.
        source: What is known of the source model (task, tokens, perplexity or accuracy, seconds).
        documents: Documents of the target by split.
        digests: Digests of documents, tokens, tokenizers and models, by name.
        versions: Versions of Python and of the libraries.
        seconds: Seconds of each part of the run.
        configuration: The whole experiment.
        command: The command that repeats it.
    """

    model_config = ConfigDict(frozen=True)

    experiment: str
    sentences: list[str]
    cells: list[Cell]
    gains: list[Gain]
    beyond: list[Gain] = []
    tradition: list[Gain] = []
    equivalences: list[Equivalence] = []
    coverage: list[Coverage] = []
    source: dict[str, float | int | str]
    documents: dict[str, int]
    digests: dict[str, str]
    versions: dict[str, str]
    seconds: dict[str, float]
    configuration: dict[str, object]
    command: str

"""What is known of the stage that runs now: its steps, what they have made, and how far the present one is."""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rnnlm.refs import CheckpointRef, DocumentsRef, ModelRef, ScoreRef, TokensRef
from rnnlm.steps.observe import Observer


@dataclass
class Progress:
    """How far something is.

    Attributes:
        name: What it is.
        done: How much of it is done.
        of: How much there is.
        rate: What it says of itself.
        first: How much was done when it was first heard of.
        since: When that was.
    """

    name: str
    done: int
    of: int
    rate: str
    first: int
    since: float

    def remaining(self) -> float | None:
        """Return the estimated seconds left; what came before the first news, as compiling, tells nothing of them."""
        if self.done <= self.first:
            return None
        return (time.monotonic() - self.since) * (self.of - self.done) / (self.done - self.first)


@dataclass
class Stage:
    """What is known of a stage.

    Attributes:
        name: What people call it.
        ahead: Number of its steps, if it is known.
        done: Number of those that have ended.
        cached: Number of those that came from the cache.
        running: The names of those that run.
        cells: The cells that they have made.
        detail: What the last of them has made, in words.
        progress: How far what runs now is, if it says so.
    """

    name: str
    ahead: int = 0
    done: int = 0
    cached: int = 0
    running: list[str] = field(default_factory=list)
    cells: list[ScoreRef] = field(default_factory=list)
    detail: str = ""
    progress: Progress | None = None
    began: float = field(default_factory=time.monotonic)

    def took(self, seconds: float) -> str:
        """Say how long it took."""
        from rnnlm.report.words import duration

        return "from the cache" if self.done and self.cached == self.done else duration(seconds)

    def did_nothing(self, seconds: float) -> bool:
        """Whether there was nothing to do."""
        return not self.done and seconds < 0.1


class Work(Observer):
    """Keeps what is known of the present stage, for those who show it."""

    def __init__(self) -> None:
        self.stage = Stage("Starting")

    def warn(self, message: str) -> None:
        """Show a warning."""

    def stage_began(self, name: str) -> None:
        """Begin anew."""
        self.stage = Stage(name)

    def steps_ahead(self, number: int) -> None:
        """Remember it."""
        self.stage.ahead = number

    def step_began(self, name: str) -> None:
        """Remember that it runs."""
        self.stage.running.append(name)

    def step_ended(self, name: str, result: object, cached: bool) -> None:
        """Remember what it has made."""
        with contextlib.suppress(ValueError):
            self.stage.running.remove(name)
        self.stage.progress = None
        self.stage.done += 1
        self.stage.cached += cached
        self.stage.detail = detail(result)
        if isinstance(result, ScoreRef):
            self.stage.cells.append(result)

    def progressed(self, name: str, done: int, of: int, rate: str = "") -> None:
        """Remember how far it is."""
        old = self.stage.progress
        first, since = (old.first, old.since) if old and old.name == name else (done, time.monotonic())
        self.stage.progress = Progress(name, done, of, rate, first, since)


@contextlib.contextmanager
def warnings_to(shown: Work) -> Iterator[None]:
    """Show the library's warnings."""

    class Warnings(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shown.warn(record.getMessage())

    handler, logger = Warnings(logging.WARNING), logging.getLogger("rnnlm")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def cell(score: ScoreRef) -> tuple[str, str, str, str]:
    """Return a cell's arm, which one of the arm's it is, its scores on the test split, and its time, in words."""
    from rnnlm.report import words
    from rnnlm.targets import TARGETS

    which = f"{score.labels:,} labels, seed {score.seed}" if score.labels else ""
    if score.task in TARGETS:
        measure = TARGETS[score.task].measure
        scores = f"{measure.words} {words.score(measure.name, score.metrics[measure.name])}"
    else:
        perplexity, bits = (score.metrics.get(name) for name in ("perplexity", "bits_per_character"))
        scores = f"perplexity {words.score('perplexity', perplexity)}, "
        scores += f"{words.score('bits_per_character', bits)} bits/character"
    return words.arm(score.arm), which, scores, words.duration(score.seconds)


def detail(result: object) -> str:
    """Say what a step has made, in a few words."""
    from rnnlm.report import words
    from rnnlm.targets import measure_of

    match result:
        case DocumentsRef():
            classes = f", {len(result.labels):,} classes" if result.labels else ""
            return f"{sum(result.documents.values()):,} documents{classes}"
        case TokensRef():
            return f"{sum(result.tokens.values()):,} tokens, vocabulary {result.vocabulary_size:,}"
        case CheckpointRef():
            measure = "perplexity" if result.kind == "language_model" else measure_of(result.kind).name
            names = [name for name in (f"valid/{measure}",) if name in result.metrics]
            return ", ".join(f"{words.metric(name)} {words.score(name, result.metrics[name])}" for name in names)
        case ModelRef():
            return result.uri
    return ""

"""What a training tells while it runs."""

import contextlib
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

# Reports of a training: enough for a curve, few enough to cost nothing.
REPORTS = 200
# ru_maxrss is in KiB, on macOS in bytes.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Progress:
    """Where a training is.

    Attributes:
        step: Steps taken.
        steps: Steps in all.
        rate: Tokens (or documents) a second, since the last report.
        unit: What the rate counts.
        train_loss: Mean training loss since the last report, in nats.
        learning_rate: The current learning rate.
        gradient_norm: Mean global norm of the gradient before clipping, since the last report.
        clipped: Share of the steps since the last report whose gradient was clipped.
        waiting: Share of the time since the last report in which the training waited for data.
        memory: Most memory of the process so far, in MB.
        remaining: Estimated seconds to the end, evaluations not counted.
        metrics: Scores on the validation split, at an evaluation; else empty.
        passing: Whether it is a sign of life, which comes by the clock and so is no part of the curve.
    """

    step: int
    steps: int
    rate: float
    unit: str
    train_loss: float
    learning_rate: float
    gradient_norm: float
    clipped: float = 0.0
    waiting: float = 0.0
    memory: float = 0.0
    remaining: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    passing: bool = False

    @property
    def perplexity(self) -> float:
        """Perplexity of the training text, for a language model."""
        return math.exp(min(self.train_loss, 700.0))  # float64 ends at exp(709)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    def __str__(self) -> str:
        scores = "".join(f", {name} {value:.4g}" for name, value in self.metrics.items())
        perplexity = f" (perplexity {self.perplexity:.4g})" if self.unit == "tokens" else ""
        minutes, seconds = divmod(round(self.remaining), 60)
        return (
            f"step {self.step}/{self.steps}: loss {self.train_loss:.4f}{perplexity}, {self.rate:,.0f} {self.unit}/s, "
            f"learning rate {self.learning_rate:.2e}, gradient norm {self.gradient_norm:.2f} "
            f"({self.clipped:.0%} clipped), waited for data {self.waiting:.1%}, {self.memory:,.0f} MB, "
            f"{minutes}:{seconds:02} left{scores}"
        )


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Report nothing."""


class Meter:
    """Adds up what happened since the last report.

    Args:
        unit: What is counted a second.
        steps: Steps in all: there are about `REPORTS` reports, after the same steps in every run.
        clip_norm: Norm from which gradients are clipped.

    Attributes:
        sums: What was added up; a training that is taken up again goes on with them.
    """

    def __init__(self, unit: str, steps: int, clip_norm: float) -> None:
        self.unit = unit
        self.steps = steps
        self.clip_norm = clip_norm
        self.every = max(1, steps // REPORTS)
        self.sums = self._zero()
        self._waited = self._waited_before = 0.0
        self.restart_clock()

    @staticmethod
    def _zero() -> dict[str, float]:
        return {"steps": 0, "loss": 0.0, "norm": 0.0, "clipped": 0}

    def add(self, count: int, loss: float, norm: float, waited: float = 0.0) -> None:
        """Add a step of `count` tokens or documents; `waited` is the seconds waited for data since the beginning."""
        self._count += count
        self._here += 1
        self._waited = waited
        self.sums["steps"] += 1
        self.sums["loss"] += loss
        self.sums["norm"] += norm
        self.sums["clipped"] += norm > self.clip_norm

    def due(self, step: int) -> bool:
        """Whether there is a report after this step."""
        return step % self.every == 0

    def silent_for(self) -> float:
        """Return the seconds since anything was given."""
        return time.perf_counter() - self._told

    def sign_of_life(self, step: int, learning_rate: float) -> Progress:
        """Return what happened since the last report, which is still to come."""
        self._told = time.perf_counter()
        return self._progress(step, learning_rate, {}, passing=True)

    def progress(self, step: int, learning_rate: float, metrics: dict[str, float]) -> Progress:
        """Return what happened since the last call, and begin anew."""
        progress = self._progress(step, learning_rate, metrics, passing=False)
        self.sums = self._zero()
        self._waited_before = self._waited
        self.restart_clock()
        return progress

    def _progress(self, step: int, learning_rate: float, metrics: dict[str, float], *, passing: bool) -> Progress:
        seconds = max(1e-9, time.perf_counter() - self._start)
        done = max(1.0, self.sums["steps"])
        return Progress(
            step=step,
            steps=self.steps,
            rate=self._count / seconds,
            unit=self.unit,
            train_loss=self.sums["loss"] / done,
            learning_rate=learning_rate,
            gradient_norm=self.sums["norm"] / done,
            clipped=self.sums["clipped"] / done,
            waiting=(self._waited - self._waited_before) / seconds,
            memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / 1e6,
            remaining=(self.steps - step) * seconds / max(1, self._here),
            metrics=metrics,
            passing=passing,
        )

    def restart_clock(self) -> None:
        """Begin to count anew what is a second."""
        self._start = self._told = time.perf_counter()
        self._count = self._here = 0

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out of the rate the time that an evaluation or a save takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - began


def evaluation_steps(steps: int, evaluations: int) -> set[int]:
    """Return the steps after which to evaluate: evenly spread, the last always among them."""
    return {round(steps * (n + 1) / evaluations) for n in range(evaluations)} - {0} | {steps}

"""What a training tells while it runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


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
        metrics: Scores on the validation split, at an evaluation; else empty.
    """

    step: int
    steps: int
    rate: float
    unit: str
    train_loss: float
    learning_rate: float
    gradient_norm: float
    metrics: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        scores = "".join(f", {name} {value:.4g}" for name, value in self.metrics.items())
        return (
            f"step {self.step}/{self.steps}: loss {self.train_loss:.4f}, {self.rate:,.0f} {self.unit}/s, "
            f"learning rate {self.learning_rate:.2e}, gradient norm {self.gradient_norm:.2f}{scores}"
        )


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Report nothing."""


class Meter:
    """Adds up what happened since the last report.

    Args:
        unit: What is counted a second.
        every: Seconds between reports.
    """

    def __init__(self, unit: str, every: float = 5.0) -> None:
        self.unit = unit
        self.every = every
        self._reset()

    def _reset(self) -> None:
        self._start = time.perf_counter()
        self._count, self._steps, self._loss, self._norm = 0, 0, 0.0, 0.0

    def add(self, count: int, loss: float, norm: float) -> None:
        """Add a step of `count` tokens or documents."""
        self._count += count
        self._steps += 1
        self._loss += loss
        self._norm += norm

    @property
    def due(self) -> bool:
        """Whether it is time for a report."""
        return time.perf_counter() - self._start >= self.every

    def progress(self, step: int, steps: int, learning_rate: float, metrics: dict[str, float]) -> Progress:
        """Give what happened since the last call, and begin anew."""
        done = max(1, self._steps)
        progress = Progress(
            step=step,
            steps=steps,
            rate=self._count / max(1e-9, time.perf_counter() - self._start),
            unit=self.unit,
            train_loss=self._loss / done,
            learning_rate=learning_rate,
            gradient_norm=self._norm / done,
            metrics=metrics,
        )
        self._reset()
        return progress


def evaluation_steps(steps: int, evaluations: int) -> set[int]:
    """Give the steps after which to evaluate: evenly spread, the last always among them."""
    return {round(steps * (n + 1) / evaluations) for n in range(evaluations)} - {0} | {steps}

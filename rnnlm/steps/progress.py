"""A training's progress, in the log, in the tracker and wherever the run is watched."""

import contextlib
import time

from rnnlm.errors import StoreError
from rnnlm.steps.observe import observer
from rnnlm.steps.step import Meter, logger
from rnnlm.tracking import Tracker
from rnnlm.training import progress as training

# Seconds between two signs of life of a training.
SECONDS_BETWEEN = 5.0


class Progress:
    """Shows a training's progress.

    The tracker gets every report. Reports are sent, and the log and the meter brought up to date, every few seconds
    and at each evaluation.

    Args:
        run: Where the training is recorded.
        description: What is in progress.
        meter: Shows how far it is.
    """

    def __init__(self, run: Tracker, description: str, meter: Meter) -> None:
        self.run = run
        self.description = description
        self._show = meter(description)
        self._waiting: list[tuple[int, dict[str, float]]] = []
        self._shown = time.monotonic()

    def __enter__(self) -> "Progress":
        """Return itself; leaving sends what was not sent yet, above all the last points before a failure."""
        return self

    def __exit__(self, _: object, error: object, __: object) -> None:
        """Send what was not sent yet."""
        # A store that does not answer must not hide what went wrong before.
        with contextlib.suppress(StoreError) if error else contextlib.nullcontext():
            self.run.log_curve(self._waiting)
        self._waiting = []

    def __call__(self, progress: training.Progress) -> None:
        """Show where the training is."""
        loss = (
            f"perplexity {progress.perplexity:.4g}" if progress.unit == "tokens" else f"loss {progress.train_loss:.4f}"
        )
        rate = f"{loss}, {progress.rate:,.0f} {progress.unit}/s"
        observer().progressed(self.description, progress.step, progress.steps, rate)
        if not progress.passing:
            self._waiting.append((progress.step, _metrics(progress)))
        if not progress.metrics and time.monotonic() - self._shown < SECONDS_BETWEEN:
            return
        logger.info("%s: %s", self.description, progress)
        self.run.log_curve(self._waiting)
        self._show(100.0 * progress.step / progress.steps, f"{self.description}: {progress}")
        self._waiting, self._shown = [], time.monotonic()


def _metrics(progress: training.Progress) -> dict[str, float]:
    metrics = {
        "train/loss": progress.train_loss,
        f"train/{progress.unit}_per_second": progress.rate,
        "train/learning_rate": progress.learning_rate,
        "train/gradient_norm": progress.gradient_norm,
        "train/clipped": progress.clipped,
        "train/waiting_for_data": progress.waiting,
        "train/memory_mb": progress.memory,
    }
    if progress.unit == "tokens":
        metrics["train/perplexity"] = progress.perplexity
    return metrics | {f"valid/{name}": value for name, value in progress.metrics.items()}

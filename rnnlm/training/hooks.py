"""What a training does beside its updates, one class each. What a hook has to remember is saved with the training."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rnnlm.errors import TrainingError
from rnnlm.evaluation.verdict import Point
from rnnlm.settings import LanguageModelTraining
from rnnlm.training.averaging import averaging_rate, is_triggered
from rnnlm.training.progress import Meter, Progress, Report, silent
from rnnlm.training.state import StateFolder, TrainingState

logger = logging.getLogger("rnnlm.training")

# All saves may take this share of the time at most: where one takes long, states are saved less often.
SAVING_SHARE = 0.02
# Clipping is meant for rare steps; where nearly all are clipped, it is the learning rate that is set by it.
CLIPPED_SHARE = 0.95
CLIPPED_STEPS = 50
# Seconds after which a training that has nothing to report yet gives a sign of life.
SILENCE = 20.0


class Averaging:
    """Decides how far the average of the weights moves with each update.

    Args:
        settings: Kind of averaging; if None, nothing is averaged.
    """

    def __init__(self, settings: LanguageModelTraining | None = None) -> None:
        self._settings = settings if settings is not None and settings.averaging != "none" else None
        self.triggered: int | None = None  # nt_asgd: the step after which averaging began

    @property
    def is_on(self) -> bool:
        """Whether it is the averaged weights that would be published now."""
        return self._settings is not None and (self._settings.averaging == "ema" or self.triggered is not None)

    def share(self, step: int) -> float:
        """Return the share by which the average moves to the raw weights after a step."""
        return averaging_rate(self._settings, step, self.triggered) if self._settings else 0.0

    def evaluated(self, step: int, nlls: list[float]) -> None:
        """Begin to average if the newest score says so."""
        s = self._settings
        if s and s.averaging == "nt_asgd" and self.triggered is None and is_triggered(nlls, s.trigger_after):
            logger.info("step %d: the weights are averaged from here on", step)
            self.triggered = step

    def skipped(self, steps: int) -> None:
        """Leave out of the mean the steps that patience has left out."""
        if self.triggered is not None:
            self.triggered += steps

    def restarted(self, step: int) -> None:
        """Begin the mean anew."""
        if self.triggered is not None:
            self.triggered = step


class Patience:
    """Ends a phase when nothing gets better.

    Args:
        evaluations: How many it waits for; if None, it waits for ever.
    """

    def __init__(self, evaluations: int | None = None) -> None:
        self.evaluations = evaluations

    def is_used_up(self, nlls: list[float]) -> bool:
        """Return whether the last evaluations of a phase were no better than those before."""
        n = self.evaluations
        return n is not None and len(nlls) > n and min(nlls[-n:]) >= min(nlls[:-n])


class Divergence:
    """Answers a loss that is no longer a number: once by half the learning rate, if that was asked for.

    Args:
        halve: Whether it was.
    """

    def __init__(self, *, halve: bool = False) -> None:
        self._halve = halve
        self.factor = 1.0  # of the learning rate

    def met(self, error: TrainingError) -> None:
        """Halve the learning rate, or raise the error."""
        if not self._halve or self.factor != 1.0:
            raise error
        logger.warning("%s. It goes on from the best weights so far, at half the learning rate.", error.problem)
        self.factor = 0.5

    def take_up(self, factor: float, where: str) -> None:
        """Go on with the factor of a saved training.

        Raises:
            TrainingError: If it went on at half the learning rate, which the settings no longer allow.
        """
        if factor != 1.0 and not self._halve:
            raise TrainingError(
                "the saved training diverged and went on at half the learning rate",
                where=where,
                remedy="Set halve_on_divergence again, or change learning_rate, or remove this folder.",
            )
        self.factor = factor


class Reporting:
    """Reports about 200 times, at each evaluation and when it was silent for long; after a stop all of it once more.

    Args:
        meter: Adds up what happened between two reports.
        report: Called with each.
        warns: Whether it warns of a validation that gets worse and of gradients that are nearly always clipped: for a
            training that somebody watches. A comparison has hundreds of small ones, in which both are common.
    """

    def __init__(self, meter: Meter, report: Report = silent, *, warns: bool = False) -> None:
        self.meter, self.report, self._warns = meter, report, warns
        self.reports: list[Progress] = []
        self.warned = False

    def progressed(self, step: int, rate: float, metrics: dict[str, float]) -> None:
        """Report what happened since the last report."""
        progress = self.meter.progress(step, rate, metrics)
        self.reports.append(progress)
        self.report(progress)
        if self._warns and not self.warned and self._is_nearly_always_clipped():
            self.warned = True
            logger.warning(
                "step %d: gradients are clipped on nearly every step (mean norm %.3g, clip_norm %g): it is clip_norm "
                "that sets the size of the steps now.",
                step,
                progress.gradient_norm,
                self.meter.clip_norm,
            )

    def after_step(self, step: int, rate: float) -> None:
        """Report if it is time."""
        if self.meter.due(step):
            self.progressed(step, rate, {})
        elif self.meter.silent_for() > SILENCE:
            self.report(self.meter.sign_of_life(step, rate))

    def evaluated(self, step: int, points: list[Point], metrics: dict[str, float]) -> None:
        """Warn of a score that is worse than the one before and than the best."""
        if not self._warns or not points:
            return
        nlls = [point.metrics["nll"] for point in points]
        if metrics["nll"] > nlls[-1]:
            logger.warning(
                "step %d: validation gets worse: perplexity %.4g after %.4g, best %.4g",
                step,
                metrics["perplexity"],
                points[-1].metrics["perplexity"],
                math.exp(min(*nlls, 700.0)),
            )

    def take_up(self, reports: Sequence[dict[str, Any]], sums: dict[str, float], *, warned: bool) -> None:
        """Report once more what a saved training had reported, and go on."""
        # An extension has added steps to those that were reported.
        self.reports = [Progress(**report | {"steps": self.meter.steps}) for report in reports]
        self.meter.sums, self.warned = sums, warned
        for progress in self.reports:
            self.report(progress)

    def _is_nearly_always_clipped(self) -> bool:
        """Return whether it is so in the newest reports that have CLIPPED_STEPS steps together."""
        clipped, steps = 0.0, 0
        for n in range(len(self.reports) - 1, -1, -1):
            here = self.reports[n].step - (self.reports[n - 1].step if n else 0)
            clipped, steps = clipped + self.reports[n].clipped * here, steps + here
            if steps >= CLIPPED_STEPS:
                return clipped > CLIPPED_SHARE * steps
        return False


class Saving:
    """Saves states, so that a training that was stopped at any moment goes on from the last one.

    Args:
        folders: Where states are saved, and then those of the same training with fewer extensions, from which it may
            go on. If there are none, nothing is saved.
        every: Seconds between two states; more where saving takes long. 0: after every step.
    """

    def __init__(self, folders: Sequence[StateFolder] = (), every: float = 60.0) -> None:
        self.folders, self._every = folders, every
        self._began = self._saved = time.monotonic()
        self._took = self._taken = 0.0  # seconds: of the last save, of all since this process began
        self.seconds_before = 0.0  # of earlier processes

    @property
    def seconds(self) -> float:
        """Seconds that the training has taken, those of earlier processes included."""
        return self.seconds_before + time.monotonic() - self._began

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from this training."""
        with self.folders[0].alone() if self.folders else contextlib.nullcontext():
            yield

    def load(self) -> TrainingState | None:
        """Return the last saved state, or that of the same training with fewer extensions."""
        return next((found for folder in self.folders if (found := folder.load()) is not None), None)

    def is_due(self) -> bool:
        """Return whether to save now."""
        now = time.monotonic()
        # The next save is taken to last as long as the last one.
        affordable = self._taken + self._took <= SAVING_SHARE * (now - self._began)
        return self._every == 0.0 or (now - self._saved >= self._every and affordable)

    def save(self, state: Callable[[], TrainingState]) -> None:
        """Save a state."""
        if not self.folders:
            return
        began = time.monotonic()
        self.folders[0].save(state())
        self._saved = time.monotonic()
        self._took = self._saved - began
        self._taken += self._took

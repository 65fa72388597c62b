"""The training loop: one for language models and for every head.

What is trained is a `Learner`: it knows its batches, one update, its evaluation, and the arrays to save. What happens
beside the updates are the hooks. A training that was stopped at any moment goes on from its last saved state, and ends
with the same weights and the same curve, bit for bit.
"""

import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from rnnlm.errors import TrainingError
from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Weights
from rnnlm.training.hooks import Averaging, Divergence, Patience, Reporting, Saving
from rnnlm.training.plan import Phase
from rnnlm.training.prefetch import Prefetch
from rnnlm.training.state import Arrays, TrainingState
from rnnlm.training.step import StepResult
from rnnlm.training.update import check_finite

logger = logging.getLogger("rnnlm.training")

# In a state the names of the best weights begin with it.
BEST = "best/"

B = TypeVar("B")


class Learner(Protocol[B]):
    """What is trained.

    Attributes:
        phases: The schedules, one after the other.
        rate_setting: The setting of the learning rate, for people.
    """

    phases: list[Phase]
    rate_setting: str

    def evaluations(self, phase: Phase) -> set[int]:
        """Return the steps after which to evaluate."""

    def rate(self, phase: Phase, step: int) -> float:
        """Return the learning rate of the step after `step` steps."""

    def batches(self, phase: Phase, taken: int, /) -> Iterator[B]:
        """Return what the steps of a phase read that are left after `taken` steps of the whole training."""

    def where(self, batch: B, /) -> str:
        """Return where a batch is from, for people; empty if there is nothing to say."""

    def update(self, batch: B, step: int, rate: float, average: float, /) -> StepResult:
        """Make one update; `average` is the share by which averaged weights move to the new ones."""

    def evaluate(self) -> dict[str, float]:
        """Score the validation split."""

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Put the averaged weights into the model for a while; the raw ones come back."""

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """Return what the best weights are best in: more is better. The last part is minus a loss."""

    def weights(self) -> Weights:
        """Return the weights that the training changes."""

    def set_weights(self, weights: Weights) -> None:
        """Load them."""

    def restart(self) -> None:
        """Forget what was gathered beside the weights."""

    def arrays(self) -> Arrays:
        """Return all that the next update depends on."""

    def restore(self, arrays: Arrays, step: int, /) -> None:
        """Take up what `arrays` returned after `step` steps; the model still has the weights of the start."""

    def notes(self) -> dict[str, Any]:
        """Return what else is to be known of a saved training, as JSON values."""

    def recall(self, notes: dict[str, Any], /) -> None:
        """Take up what `notes` returned."""


@dataclass
class Hooks:
    """What happens beside the updates."""

    reporting: Reporting
    saving: Saving = field(default_factory=Saving)
    averaging: Averaging = field(default_factory=Averaging)
    patience: Patience = field(default_factory=Patience)
    divergence: Divergence = field(default_factory=Divergence)


class Outcome(NamedTuple):
    """What a training reports.

    Attributes:
        points: The learning curve.
        seconds_before: Seconds that it took in earlier processes, up to the state that this one took up.
    """

    points: list[Point]
    seconds_before: float


def train(learner: Learner[B], hooks: Hooks) -> Outcome:
    """Train; the learner ends with the weights that were best on the validation split.

    Args:
        learner: What is trained, with the weights that it starts from.
        hooks: What happens beside the updates.

    Raises:
        TrainingError: If the loss is no longer a number.
        StoreError: If a state cannot be written.
    """
    run = _Run(learner, hooks)
    with hooks.saving.alone():
        run.take_up(hooks.saving.load())
        for phase in learner.phases:
            if run.step >= phase.end:
                continue
            evaluations = learner.evaluations(phase)
            while run.step < phase.end:
                try:
                    with Prefetch(learner.batches(phase, run.step)) as batches:
                        for batch in run.waited_for(batches):
                            run.update(phase, batch)
                            if run.step in evaluations:
                                run.evaluate(phase)
                                if hooks.patience.is_used_up(run.losses(phase)):
                                    run.skip(phase)
                                    break
                            else:
                                hooks.reporting.after_step(run.step, run.rate(phase, run.step - 1))
                            if hooks.saving.is_due():
                                run.save()
                except TrainingError as error:
                    run.restart(error)
            run.save()
    learner.set_weights(run.best)
    return Outcome(run.points, hooks.saving.seconds_before)


class _Run(Generic[B]):
    """A training on its way: all that changes from step to step, and how it is saved and taken up again."""

    def __init__(self, learner: Learner[B], hooks: Hooks) -> None:
        self.learner, self.hooks = learner, hooks
        self.steps = learner.phases[-1].end
        self.step = 0
        self.read = 0  # tokens or documents
        self.waited = 0.0  # seconds, for data, since this process began
        self.since: list[float] = [0.0, 0]  # sum of losses, and steps, since the last point
        self.points: list[Point] = []
        self.best: Weights = learner.weights()
        self.best_score: tuple[float, ...] = (-math.inf,)

    def rate(self, phase: Phase, step: int) -> float:
        """Return the learning rate of the step after `step` steps."""
        return self.hooks.divergence.factor * self.learner.rate(phase, step)

    def losses(self, phase: Phase | None = None) -> list[float]:
        """Return the losses at the evaluations of a phase, or at all: minus the last part of the score."""
        points = [p for p in self.points if phase is None or p.step > phase.first_step]
        return [-self.learner.score(point.metrics)[-1] for point in points]

    def waited_for(self, batches: Prefetch[B]) -> Iterable[B]:
        """Iterate over batches, and count the seconds that the training waits for them."""
        before = self.waited
        for batch in batches:
            self.waited = before + batches.waited
            yield batch

    def update(self, phase: Phase, batch: B) -> None:
        """Make one update."""
        rate, average = self.rate(phase, self.step), self.hooks.averaging.share(self.step + 1)
        loss, norm, count = self.learner.update(batch, self.step, rate, average)
        where = self.learner.where(batch)
        where = f"step {self.step + 1} of {self.steps}" + (f" ({where})" if where else "")
        check_finite(loss, norm, where, self.learner.rate_setting)
        self.step += 1
        self.read += count
        self.since = [self.since[0] + loss, self.since[1] + 1]
        self.hooks.reporting.meter.add(count, loss, norm, self.waited)

    def evaluate(self, phase: Phase) -> None:
        """Score the validation split, and add a point to the curve."""
        metrics = self._score()
        if not math.isfinite(self.learner.score(metrics)[-1]):
            # The training loss tells of the weights before the update: this is where the update is seen first.
            self.restart(
                TrainingError(
                    f"the loss on the validation split is no longer a number after step {self.step} of {self.steps}",
                    remedy=f"Make {self.learner.rate_setting} or clip_norm smaller.",
                )
            )
            metrics = self._score()
        self.hooks.reporting.evaluated(self.step, self.points, metrics)
        loss = self.since[0] / max(1, self.since[1])
        self.points.append(Point(step=self.step, tokens=self.read, train_loss=loss, metrics=metrics))
        self.since = [0.0, 0]
        self.hooks.averaging.evaluated(self.step, self.losses())
        self.hooks.reporting.progressed(self.step, self.rate(phase, self.step - 1), metrics)

    def _score(self) -> dict[str, float]:
        """Score the weights that would be published now; keep them if they are the best."""
        averaged = self.hooks.averaging.is_on
        with self.hooks.reporting.meter.paused(), self.learner.averaged_weights() if averaged else nullcontext():
            metrics = self.learner.evaluate()
            score = self.learner.score(metrics)
            if score > self.best_score and all(math.isfinite(part) for part in score):
                self.best, self.best_score = self.learner.weights(), score
        return metrics

    def skip(self, phase: Phase) -> None:
        """Go to the end of a phase as if its last steps had been taken, but for the mean of the weights."""
        logger.info("step %d: no better for %s evaluations", self.step, self.hooks.patience.evaluations)
        self.hooks.averaging.skipped(phase.end - self.step)
        self.step = phase.end

    def restart(self, error: TrainingError) -> None:
        """Go on from the best weights so far at half the learning rate; once, and only if that was asked for."""
        self.hooks.divergence.met(error)
        self.hooks.averaging.restarted(self.step)
        self.learner.set_weights(self.best)
        self.learner.restart()

    def save(self) -> None:
        """Save all that the rest of the training depends on."""
        with self.hooks.reporting.meter.paused():
            self.hooks.saving.save(self._state)

    def _state(self) -> TrainingState:
        hooks = self.hooks
        best = {BEST + name: value for name, value in self.best.items()}
        meta = {
            "seconds": hooks.saving.seconds,
            "read": self.read,
            "since": self.since,
            "points": [point.model_dump() for point in self.points],
            "reports": [report.to_json() for report in hooks.reporting.reports],
            "meter": hooks.reporting.meter.sums,
            "warned": hooks.reporting.warned,
            "best_score": self.best_score,
            "triggered": hooks.averaging.triggered,
            "factor": hooks.divergence.factor,
            "notes": self.learner.notes(),
        }
        return TrainingState(self.step, meta, {**self.learner.arrays(), **best})

    def take_up(self, state: TrainingState | None) -> None:
        """Go on from a saved state, if there is one."""
        if state is None:
            return
        meta, hooks = state.meta, self.hooks
        hooks.divergence.take_up(meta["factor"], str(hooks.saving.folders[0].folder))
        hooks.saving.seconds_before = meta["seconds"]
        hooks.averaging.triggered = meta["triggered"]
        self.step, self.read, self.since = state.step, meta["read"], meta["since"]
        self.points = [Point.model_validate(point) for point in meta["points"]]
        self.best = {name.removeprefix(BEST): a for name, a in state.arrays.items() if name.startswith(BEST)}
        self.best_score = tuple(meta["best_score"])
        self.learner.recall(meta["notes"])
        if self.step < self.steps:
            self.learner.restore(state.arrays, self.step)
        logger.info("The training goes on after step %d of %d.", self.step, self.steps)
        hooks.reporting.take_up(meta["reports"], meta["meter"], warned=meta["warned"])

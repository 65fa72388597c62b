"""Training of a language model, from scratch or from wherever its weights or its last saved state stand."""

import contextlib
import logging
import math
import time
from collections.abc import Callable
from typing import NamedTuple

from rnnlm.errors import TrainingError
from rnnlm.evaluation.language_model import score_documents
from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Weights, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.precision import Precision
from rnnlm.settings import LanguageModelTraining
from rnnlm.tokens import Text
from rnnlm.training.averaging import averaging_rate, is_triggered
from rnnlm.training.plan import Phase, Plan, Step
from rnnlm.training.precision import choose_precision
from rnnlm.training.prefetch import Prefetch
from rnnlm.training.progress import Meter, Progress, Report, silent
from rnnlm.training.state import StateFolder, TrainingState
from rnnlm.training.step import LanguageModelStep
from rnnlm.training.update import check_finite

logger = logging.getLogger("rnnlm.training")

# To be raised when the same settings give other bits: a state that was saved before must not be taken up then.
VERSION = 6
# In a state the names of the best weights begin with it.
BEST = "best/"
# All saves may take this share of the time at most: where one takes long, states are saved more seldom.
SAVING_SHARE = 0.02
# Clipping is meant for rare steps; where nearly all are clipped, it is the learning rate that is set by it.
CLIPPED_SHARE = 0.95
CLIPPED_STEPS = 50
# Seconds after which a training that has nothing to report yet gives a sign of life.
SILENCE = 20.0

# Gives the folder for the states of a training with these extensions, and for no other training.
States = Callable[[list[float]], StateFolder]


class Trained(NamedTuple):
    """What is told of a training.

    Attributes:
        points: The learning curve, with `perplexity`, `nll` and `bits_per_character` of the validation split.
        precision: Type of the large products: what `auto` became.
        seconds_before: Seconds that it took in earlier processes, up to the state that this one took up.
    """

    points: list[Point]
    precision: Precision
    seconds_before: float


def train_language_model(
    model: LanguageModel,
    train: Text,
    valid: Text,
    settings: LanguageModelTraining,
    *,
    seed: int,
    report: Report = silent,
    states: States | None = None,
) -> Trained:
    """Train a language model; it ends with the weights that were best on the validation split.

    The state is carried from window to window and reset where a document begins and where an epoch begins. With a
    folder for its states a training that was stopped at any moment goes on where it was saved last, and ends with
    the same weights and the same curve, bit for bit.

    Args:
        model: The model; its weights are where the training starts.
        train: Training documents, read in a new order each epoch; running text keeps its own.
        valid: Validation documents.
        settings: The recipe.
        seed: Seed of the order and of dropout.
        report: Called about 200 times and at each evaluation, and at least every SILENCE seconds; after a stop, once
            more for what was reported before.
        states: Where states are saved; none: nothing is saved.

    Returns:
        The learning curve, and what else is told of the training.

    Raises:
        TrainingError: If there is too little text for one window, or the loss is no longer a number.
        StoreError: If a state cannot be written.
    """
    training = _Training(model, train, valid, settings, seed, report, states)
    with contextlib.ExitStack() as alone:
        if training.states:
            alone.enter_context(training.states[0].alone())
        training.resume()
        for phase in training.plan.phases:
            training.run(phase)
    set_weights(model, training.best)
    assert training.precision is not None
    return Trained(training.points, training.precision, training.seconds_before)


class _Training:
    """A training on its way: all that changes from step to step, and how it is saved and taken up again."""

    def __init__(
        self,
        model: LanguageModel,
        train: Text,
        valid: Text,
        settings: LanguageModelTraining,
        seed: int,
        report: Report,
        states: States | None,
    ) -> None:
        self.model, self.train, self.valid, self.settings = model, train, valid, settings
        self.seed, self.report = seed, report
        # Each list of extensions has states of its own, and may go on from those of a shorter list.
        extensions = [settings.extend[:n] for n in range(len(settings.extend), -1, -1)]
        self.states = [states(extension) for extension in extensions] if states is not None else []
        self.plan = Plan.of(train.n_tokens, settings, seed)
        self.meter = Meter("tokens", self.plan.steps, settings.clip_norm)
        self.step = 0
        self.read = 0  # targets that counted
        self.waited = 0.0  # seconds, for data, since this process began
        self.began, self.seconds_before = time.monotonic(), 0.0  # the latter: of earlier processes
        self.since: list[float] = [0.0, 0]  # sum of losses, and steps, since the last point
        self.points: list[Point] = []
        self.reports: list[Progress] = []
        self.best: Weights = get_weights(model)
        self.best_nll = math.inf
        self.triggered: int | None = None  # nt_asgd: the step after which averaging began
        self.factor = 1.0  # of the learning rate: 0.5 after a divergence
        self.warned = False
        self.precision: Precision | None = None
        self._updates: LanguageModelStep | None = None
        self._saved = self.began
        self._save_took = self._saving = 0.0  # seconds: of the last save, of all since this process began

    @property
    def updates(self) -> LanguageModelStep:
        """The compiled update, made when it is needed first."""
        if self._updates is None:
            s = self.settings
            self.precision = self.precision or choose_precision(
                s.precision, self.model.settings, self.model.vocabulary_size, s.batch_size, s.window
            )
            self._updates = LanguageModelStep(self.model, s, self.precision, resets=not self.train.is_running)
        return self._updates

    def run(self, phase: Phase) -> None:
        """Train to the end of a phase, or until `patience` is used up."""
        if self.step >= phase.end:
            return
        evaluations = self.plan.evaluations(phase)
        while self.step < phase.end:
            try:
                with Prefetch(self.plan.read(phase, self.train, self.step)) as steps:
                    before = self.waited
                    for step in steps:
                        self.waited = before + steps.waited
                        self._update(phase, step)
                        if self.step in evaluations:
                            self._evaluate(phase)
                            if self._is_patience_used_up(phase):
                                logger.info("step %d: no better for %s evaluations", self.step, self.settings.patience)
                                self._skip(phase)
                                break
                        elif self.meter.due(self.step):
                            self._report(phase, {})
                        elif self.meter.silent_for() > SILENCE:
                            self.report(self.meter.sign_of_life(self.step, self._rate(phase, self.step - 1)))
                        self._save_if_due()
            except TrainingError as error:
                self._restart_at_half_rate(error)
        self._save()

    def _update(self, phase: Phase, step: Step) -> None:
        rate = self._rate(phase, self.step)
        average = averaging_rate(self.settings, self.step + 1, self.triggered)
        result = self.updates.run(step.windows, step.first, self.seed, self.step, rate, average)
        check_finite(
            result.loss, result.norm, f"step {self.step + 1} of {self.plan.steps} ({step.where})", "learning_rate"
        )
        self.step += 1
        self.read += result.tokens
        self.since = [self.since[0] + result.loss, self.since[1] + 1]
        self.meter.add(result.tokens, result.loss, result.norm, self.waited)

    def _rate(self, phase: Phase, step: int) -> float:
        return self.factor * self.plan.rate(phase, step)

    def _evaluate(self, phase: Phase) -> None:
        """Score the validation split, with the averaged weights if there are any; keep the best."""
        metrics = self._score()
        if not math.isfinite(metrics["nll"]):
            # The training loss tells of the weights before the update: this is where the update is seen first.
            self._restart_at_half_rate(
                TrainingError(
                    f"the loss on the validation split is no longer a number after step {self.step} of "
                    f"{self.plan.steps}",
                    remedy="Make learning_rate or clip_norm smaller.",
                )
            )
            metrics = self._score()
        if self.points and self.best_nll < metrics["nll"] > self.points[-1].metrics["nll"]:
            logger.warning(
                "step %d: validation gets worse: perplexity %.4g after %.4g, best %.4g",
                self.step,
                metrics["perplexity"],
                self.points[-1].metrics["perplexity"],
                math.exp(min(self.best_nll, 700.0)),
            )
        loss = self.since[0] / max(1, self.since[1])
        self.points.append(Point(step=self.step, tokens=self.read, train_loss=loss, metrics=metrics))
        self.since = [0.0, 0]
        if self.settings.averaging == "nt_asgd" and self.triggered is None:
            scores = [point.metrics["nll"] for point in self.points]
            if is_triggered(scores, self.settings.trigger_after):
                logger.info("step %d: the weights are averaged from here on", self.step)
                self.triggered = self.step
        self._report(phase, metrics)

    def _score(self) -> dict[str, float]:
        """Score the validation split with the weights that would be published now; keep them if they are the best."""
        averaged = self.settings.averaging == "ema" or self.triggered is not None
        weights = self.updates.averaged_weights() if averaged else contextlib.nullcontext()
        with self.meter.paused(), weights:
            metrics = score_documents(self.model, self.valid).metrics
            if metrics["nll"] < self.best_nll:
                self.best, self.best_nll = get_weights(self.model), metrics["nll"]
        return metrics

    def _is_patience_used_up(self, phase: Phase) -> bool:
        here = [point.metrics["nll"] for point in self.points if point.step > phase.first_step]
        patience = self.settings.patience
        return patience is not None and len(here) > patience and min(here[-patience:]) >= min(here[:-patience])

    def _skip(self, phase: Phase) -> None:
        """Go to the end of a phase as if its last steps had been taken, but for the mean of the weights."""
        if self.triggered is not None:
            self.triggered += phase.end - self.step
        self.step = phase.end

    def _report(self, phase: Phase, metrics: dict[str, float]) -> None:
        progress = self.meter.progress(self.step, self._rate(phase, self.step - 1), metrics)
        self.reports.append(progress)
        self.report(progress)
        if not self.warned and self._is_nearly_always_clipped():
            self.warned = True
            logger.warning(
                "step %d: gradients are clipped on nearly every step (mean norm %.3g, clip_norm %g): it is clip_norm "
                "that sets the size of the steps now.",
                self.step,
                progress.gradient_norm,
                self.settings.clip_norm,
            )

    def _is_nearly_always_clipped(self) -> bool:
        """Whether it is so in the newest reports that have CLIPPED_STEPS steps together."""
        clipped, steps = 0.0, 0
        for n in range(len(self.reports) - 1, -1, -1):
            here = self.reports[n].step - (self.reports[n - 1].step if n else 0)
            clipped, steps = clipped + self.reports[n].clipped * here, steps + here
            if steps >= CLIPPED_STEPS:
                return clipped > CLIPPED_SHARE * steps
        return False

    def _restart_at_half_rate(self, error: TrainingError) -> None:
        """Go on from the best weights so far at half the learning rate; once, and only if that was asked for."""
        if not self.settings.halve_on_divergence or self.factor != 1.0:
            raise error
        logger.warning("%s. It goes on from the best weights so far, at half the learning rate.", error.problem)
        self.factor = 0.5
        if self.triggered is not None:
            self.triggered = self.step  # the mean begins anew, too
        set_weights(self.model, self.best)
        self.updates.restart()

    def _save_if_due(self) -> None:
        """Save a state every `save_every` seconds, or more seldom where saving takes long; at 0 after every step."""
        every, now = self.settings.save_every, time.monotonic()
        # The next save is taken to last as long as the last one.
        affordable = self._saving + self._save_took <= SAVING_SHARE * (now - self.began)
        if every == 0.0 or (now - self._saved >= every and affordable):
            self._save()

    def _save(self) -> None:
        if not self.states:
            return
        began = time.monotonic()
        meta = {
            "seconds": self.seconds_before + began - self.began,
            "read": self.read,
            "since": self.since,
            "points": [point.model_dump() for point in self.points],
            "reports": [report.to_json() for report in self.reports],
            "meter": self.meter.sums,
            "best_nll": self.best_nll,
            "triggered": self.triggered,
            "factor": self.factor,
            "warned": self.warned,
            "precision": self.precision,
        }
        with self.meter.paused():
            best = {BEST + name: value for name, value in self.best.items()}
            self.states[0].save(TrainingState(self.step, meta, {**self.updates.arrays(), **best}))
        self._saved = time.monotonic()
        self._save_took = self._saved - began
        self._saving += self._save_took

    def resume(self) -> None:
        """Take up the last saved state, or that of the same training with fewer extensions.

        Raises:
            TrainingError: If it went on at half the learning rate, which the settings no longer allow.
        """
        state = next((found for states in self.states if (found := states.load()) is not None), None)
        if state is None:
            return
        meta = state.meta
        if meta["factor"] != 1.0 and not self.settings.halve_on_divergence:
            raise TrainingError(
                "the saved training diverged and went on at half the learning rate",
                where=str(self.states[0].folder),
                remedy="Set halve_on_divergence again, or change learning_rate, or remove this folder.",
            )
        self.seconds_before = meta["seconds"]
        self.precision = meta["precision"]
        self.step, self.read, self.since = state.step, meta["read"], meta["since"]
        self.points = [Point.model_validate(point) for point in meta["points"]]
        # An extension has added steps to those that were reported.
        self.reports = [Progress(**report | {"steps": self.plan.steps}) for report in meta["reports"]]
        self.meter.sums = meta["meter"]
        self.best_nll, self.triggered, self.factor = meta["best_nll"], meta["triggered"], meta["factor"]
        self.warned = meta["warned"]
        self.best = {name.removeprefix(BEST): a for name, a in state.arrays.items() if name.startswith(BEST)}
        if self.step < self.plan.steps:
            self.updates.restore(state.arrays)
        logger.info("The training goes on after step %d of %d.", self.step, self.plan.steps)
        for progress in self.reports:
            self.report(progress)

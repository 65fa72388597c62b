"""Training of a language model, from scratch, from given weights, or from its last saved state."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from rnnlm.evaluation.language_model import score_documents
from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Weights, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.precision import Precision
from rnnlm.settings import LanguageModelTraining
from rnnlm.tokens import Text
from rnnlm.training.hooks import Averaging, Divergence, Patience, Reporting, Saving
from rnnlm.training.loop import Hooks, train
from rnnlm.training.plan import Phase, Plan, Step
from rnnlm.training.precision import choose_precision
from rnnlm.training.progress import Meter, Report, silent
from rnnlm.training.state import Arrays, StateFolder
from rnnlm.training.step import LanguageModelStep, StepResult

# To be raised when the same settings give other bits: a state that was saved before must not be taken up then.
VERSION = 11

# Gives the folder for the states of a training with these extensions, and for no other training.
States = Callable[[list[float]], StateFolder]


class Trained(NamedTuple):
    """What a training reports.

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
    text: Text,
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
        text: Training documents, read in a new order each epoch; running text keeps its own.
        valid: Validation documents.
        settings: The recipe.
        seed: Seed of the order and of dropout.
        report: Called about 200 times and at each evaluation, and at least every SILENCE seconds; after a stop, once
            more for what was reported before.
        states: Where states are saved; if None, nothing is saved.

    Returns:
        The learning curve, and what else the training reports.

    Raises:
        TrainingError: If there is too little text for one window, or the loss is no longer a number.
        StoreError: If a state cannot be written.
    """
    # Each list of extensions has states of its own, and may go on from those of a shorter list.
    extensions = [settings.extend[:n] for n in range(len(settings.extend), -1, -1)]
    learner = _Learner(model, text, valid, settings, seed)
    hooks = Hooks(
        Reporting(Meter("tokens", learner.plan.steps, settings.clip_norm), report, warns=True),
        Saving([states(extension) for extension in extensions] if states else [], settings.save_every),
        Averaging(settings),
        Patience(settings.patience),
        Divergence(halve=settings.halve_on_divergence),
    )
    points, seconds_before = train(learner, hooks)
    assert learner.precision is not None
    return Trained(points, learner.precision, seconds_before)


class _Learner:
    """A language model that is trained: its batches are the plan's steps."""

    rate_setting = "learning_rate"

    def __init__(
        self, model: LanguageModel, text: Text, valid: Text, settings: LanguageModelTraining, seed: int
    ) -> None:
        self.model, self.text, self.valid, self.settings, self.seed = model, text, valid, settings, seed
        self.plan = Plan.of(text.n_tokens, settings, seed)
        self.phases = self.plan.phases
        self.precision: Precision | None = None
        self._updates: LanguageModelStep | None = None

    @property
    def updates(self) -> LanguageModelStep:
        """The compiled update, made when it is needed first."""
        if self._updates is None:
            s = self.settings
            self.precision = self.precision or choose_precision(
                s.precision, self.model.settings, self.model.vocabulary_size, s.batch_size, s.window
            )
            self._updates = LanguageModelStep(self.model, s, self.precision, resets=not self.text.is_running)
        return self._updates

    def evaluations(self, phase: Phase) -> set[int]:
        return self.plan.evaluations(phase)

    def rate(self, phase: Phase, step: int) -> float:
        return self.plan.rate(phase, step)

    def batches(self, phase: Phase, taken: int) -> Iterator[Step]:
        return self.plan.read(phase, self.text, taken)

    def where(self, batch: Step) -> str:
        return batch.where

    def update(self, batch: Step, step: int, rate: float, average: float) -> StepResult:
        return self.updates.run(batch.windows, batch.first, self.seed, step, rate, average)

    def evaluate(self) -> dict[str, float]:
        return score_documents(self.model, self.valid).metrics

    def averaged_weights(self) -> AbstractContextManager[None]:
        return self.updates.averaged_weights()

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        return (-metrics["nll"],)

    def weights(self) -> Weights:
        return get_weights(self.model)

    def set_weights(self, weights: Weights) -> None:
        set_weights(self.model, weights)

    def restart(self) -> None:
        self.updates.restart()

    def arrays(self) -> Arrays:
        return self.updates.arrays()

    def restore(self, arrays: Arrays, _step: int, /) -> None:
        self.updates.restore(arrays)

    def notes(self) -> dict[str, Any]:
        return {"precision": self.precision}

    def recall(self, notes: dict[str, Any]) -> None:
        self.precision = notes["precision"]

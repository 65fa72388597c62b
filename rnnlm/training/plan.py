"""What a language model's training reads, step by step: known before it begins, so that it can be taken up anywhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnlm.errors import TrainingError
from rnnlm.seeds import stream
from rnnlm.settings import LanguageModelTraining
from rnnlm.tokens import Text
from rnnlm.training.batches import Window, row_length, windows
from rnnlm.training.progress import evaluation_steps
from rnnlm.training.schedule import learning_rate, window_lengths


class Step(NamedTuple):
    """The windows of one update.

    Attributes:
        windows: They share the carried state, one after the other.
        first: Whether each is the first of an epoch: the state is then zero.
        where: Place of the first in the text, for people.
    """

    windows: list[Window]
    first: list[bool]
    where: str


@dataclass(frozen=True)
class Phase:
    """A schedule from its first step to its last.

    Attributes:
        first_step: Steps taken before it.
        steps: Its steps.
        first_epoch: Epochs begun before it.
        lengths: Window lengths of each of its epochs.
    """

    first_step: int
    steps: int
    first_epoch: int
    lengths: list[np.ndarray]

    @property
    def end(self) -> int:
        """Steps taken after it."""
        return self.first_step + self.steps


@dataclass(frozen=True)
class Plan:
    """All steps of a training: the epochs asked for, and then each extension with a schedule of its own.

    Attributes:
        settings: Epochs, batch, window, schedule.
        phases: The first training, and each extension.
        seed: Seed of the order and of the windows' lengths.
    """

    settings: LanguageModelTraining
    phases: list[Phase]
    seed: int

    @staticmethod
    def of(tokens: int, settings: LanguageModelTraining, seed: int) -> "Plan":
        """Plan a training on a number of tokens.

        Raises:
            TrainingError: If they are too few for one window.
        """
        length = row_length(tokens, settings.batch_size)
        if length < 1:
            raise TrainingError(
                f"{tokens} training tokens are too few for {settings.batch_size} rows",
                remedy="Make language_model.batch_size smaller or give more text.",
            )
        phases: list[Phase] = []
        for epochs in (settings.epochs, *settings.extend):
            before = phases[-1] if phases else Phase(0, 0, 0, [])
            first_epoch = before.first_epoch + len(before.lengths)
            lengths: list[np.ndarray] = []
            while epochs > 1e-9:  # what is left of a sum of fractions
                generator = stream(seed, "windows", first_epoch + len(lengths))
                drawn = window_lengths(length, settings.window, settings.vary_window, generator)
                lengths.append(drawn[: max(1, round(min(1.0, epochs) * len(drawn)))])
                epochs -= 1.0
            steps = -(-sum(map(len, lengths)) // settings.accumulate)
            phases.append(Phase(before.end, steps, first_epoch, lengths))
        return Plan(settings, phases, seed)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.phases[-1].end

    def evaluations(self, phase: Phase) -> set[int]:
        """Steps after which to evaluate: `settings.evaluations` of them in each phase, its last step included."""
        return {phase.first_step + step for step in evaluation_steps(phase.steps, self.settings.evaluations)}

    def rate(self, phase: Phase, step: int) -> float:
        """Return the learning rate of the step after `step` steps, for windows of the usual length."""
        return learning_rate(self.settings.schedule, step - phase.first_step, phase.steps, self.settings.learning_rate)

    def read(self, phase: Phase, text: Text, taken: int) -> Iterator[Step]:
        """Yield the steps of a phase that are left.

        Args:
            phase: The phase.
            text: Training documents, read in a new order each epoch; running text keeps its own.
            taken: Steps of the whole training that are taken already.
        """
        skipped = (taken - phase.first_step) * self.settings.accumulate
        gathered: list[tuple[Window, bool, str]] = []
        for n, lengths in enumerate(phase.lengths):
            epoch = phase.first_epoch + n
            for index, window in self._epoch(text, epoch, lengths, min(skipped, len(lengths))):
                gathered.append((window, index == 0, f"window {index + 1} of epoch {epoch + 1}"))
                if len(gathered) == self.settings.accumulate:
                    yield _step(gathered)
                    gathered = []
            skipped = max(0, skipped - len(lengths))
        if gathered:
            yield _step(gathered)

    def _epoch(self, text: Text, epoch: int, lengths: np.ndarray, skipped: int) -> Iterator[tuple[int, Window]]:
        order = np.arange(len(text))
        if not text.is_running:
            order = stream(self.seed, "order", epoch).permutation(len(text))
        read = windows(text, order, self.settings.batch_size, lengths, skipped)
        yield from enumerate(read, start=skipped)


def _step(gathered: list[tuple[Window, bool, str]]) -> Step:
    return Step([window for window, _, _ in gathered], [first for _, first, _ in gathered], gathered[0][2])

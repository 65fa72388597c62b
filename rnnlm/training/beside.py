"""Text that is read while labels are learnt: a language model on the same encoder, in turn with the labels.

With the target's text it keeps what the source knew while labels are learnt, in one stage (SiATL, Chronopoulou
et al. 2019); with the source's text it is multi-task training of source and target at once (Collobert & Weston 2008,
who take turns as here).
"""

import functools
from collections.abc import Iterator

from rnnlm.model.checkpoint import Weights, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.seeds import derived
from rnnlm.settings import LanguageModelTraining
from rnnlm.tokens import Text
from rnnlm.training.plan import Plan, Step
from rnnlm.training.precision import choose_precision
from rnnlm.training.state import Arrays
from rnnlm.training.step import LanguageModelStep
from rnnlm.training.update import check_finite


class Beside:
    """Trains the model's encoder on text, a part of the whole training before each of the model's steps.

    Args:
        model: The model of the target task; its weights are set when this is made.
        softmax: Weights of the softmax by name, as in a language model's checkpoint; what is missing is kept.
        text: The text.
        training: How it is read: epochs, batch, window, schedule. It is evaluated by its labels alone.
        seed: Seed of the order and of dropout.
    """

    def __init__(
        self,
        model: TargetModel,
        softmax: Weights,
        text: Text,
        training: LanguageModelTraining,
        *,
        seed: int,
    ) -> None:
        self._step = _step_of(model, training.model_dump_json(), not text.is_running)
        self._step.restart()
        own, of_model = get_weights(self._step.model), get_weights(model)
        given = {name: softmax[name] for name in own if name in softmax and name not in of_model}
        set_weights(self._step.model, own | given)
        self._seed = derived(seed, "beside")
        self._plan, self._taken = Plan.of(text.n_tokens, training, self._seed), 0
        self._text = text
        self._steps = self._read(0)

    @property
    def steps(self) -> int:
        """Updates in all."""
        return self._plan.steps

    def __call__(self, step: int, steps: int) -> None:
        """Make the updates that are due before the model's step: after its last one, all are made.

        Args:
            step: Steps that the model has taken.
            steps: Its steps in all.

        Raises:
            TrainingError: If the loss is no longer a number.
        """
        while self._taken * steps < (step + 1) * self._plan.steps:
            read, rate = next(self._steps)
            result = self._step.run(read.windows, read.first, self._seed, self._taken, rate, 0.0)
            check_finite(result.loss, result.norm, read.where, "language_model.learning_rate")
            self._taken += 1

    def arrays(self) -> Arrays:
        """Return all that the next update depends on."""
        return self._step.arrays()

    def restore(self, arrays: Arrays, step: int, steps: int) -> None:
        """Take up what `arrays` returned after a number of the model's steps."""
        self._step.restore(arrays)
        self._taken = -(-step * self._plan.steps // steps)
        self._steps = self._read(self._taken)

    def _read(self, taken: int) -> Iterator[tuple[Step, float]]:
        for phase in self._plan.phases:
            begin = max(taken, phase.first_step)
            for n, step in enumerate(self._plan.read(phase, self._text, begin) if begin < phase.end else ()):
                yield step, self._plan.rate(phase, begin + n)


@functools.lru_cache(maxsize=2)
def _step_of(model: TargetModel, training_json: str, resets: bool) -> LanguageModelStep:
    """Return the compiled update of a language model on a target model's encoder; cells load their own weights."""
    # Which weights are the best is the target model's matter: an average of them would have to be its own.
    training = LanguageModelTraining.model_validate_json(training_json).model_copy(update={"averaging": "none"})
    size = model.encoder.vocabulary_size
    language_model = LanguageModel(model.settings, size, encoder=model.encoder)
    precision = choose_precision(training.precision, model.settings, size, training.batch_size, training.window)
    return LanguageModelStep(language_model, training, precision, resets)

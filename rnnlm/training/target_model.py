"""Training of a model of a target task: all of it, or linear maps of its encoder and the head."""

import functools
import itertools
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from rnnlm.model.checkpoint import Weights, get_weights, named_variables, set_weights
from rnnlm.model.target_model import TargetModel
from rnnlm.seeds import masks, stream
from rnnlm.settings import FineTuning, Model, TargetTraining
from rnnlm.targets import TARGETS, Said, TargetTask
from rnnlm.tokens import Text
from rnnlm.tokens.text import flat
from rnnlm.training.batches import batch_count, shuffled_batches, sorted_batches
from rnnlm.training.beside import Beside
from rnnlm.training.fine_tuning import LayeredAdamW, layer_rates
from rnnlm.training.hooks import Reporting, Saving
from rnnlm.training.loop import Hooks, Outcome, train
from rnnlm.training.maps import LinearMaps
from rnnlm.training.plan import Phase
from rnnlm.training.precision import choose_precision
from rnnlm.training.progress import Meter, Report, evaluation_steps, silent
from rnnlm.training.schedule import one_cycle
from rnnlm.training.state import Arrays, StateFolder
from rnnlm.training.step import StepResult
from rnnlm.training.update import clipped_update, make_optimizer

# To be raised when the same settings give other bits: a state that was saved before must not be taken up then.
VERSION = 7
SAVE_EVERY = 60.0  # seconds
# Tokens of a batch: wide enough for fast products, and the largest arrays of the default models are some 50 MB. Two
# batches at a time, because the recurrence's small operations leave a core idle: on two cores 1,013 documents a second
# in place of 779 (the demo's sizes), 261 in place of 217 (one layer of 400).
EVALUATION_TOKENS = 16_384
AT_A_TIME = 2
STATISTICS = 512  # training documents that the statistics of the normalisation are taken from
SHARES = (1.0, 0.75, 0.5, 0.25)  # of the trained weights, in an average with those before
TrainedPart = Literal["all", "maps"]


def train_target_model(
    model: TargetModel,
    text: Text,
    valid: Text | None,
    learning_rate: float,
    *,
    trainable: TrainedPart,
    seed: int,
    fine_tuning: FineTuning = FineTuning(),  # noqa: B008 (it is frozen)
    importance: Weights | None = None,
    beside: Beside | None = None,
    report: Report = silent,
    states: StateFolder | None = None,
) -> Outcome:
    """Train a model of a target task; it ends with the weights that were best on the validation documents.

    Args:
        model: The model, with its training settings; its weights are where the training starts.
        text: Labelled training documents.
        valid: Labelled validation documents; if None, it ends with the last weights.
        learning_rate: Peak of the one-cycle schedule.
        trainable: All weights; or linear maps of the encoder's weights, and the head.
        seed: Seed of the order and of dropout.
        fine_tuning: Rates by depth, frozen layers and nearness to the start, where all weights are trained.
        importance: How much each weight of the encoder, by name, is held where it starts; if None, all alike.
        beside: What else the encoder is trained on before each step.
        report: Called about 200 times and at each evaluation; after a stop, once more for what was reported before.
        states: Where states are saved; if None, nothing is saved.

    Returns:
        The learning curve, with the target task's scores of the validation documents, and other reports.

    Raises:
        TrainingError: If the loss is no longer a number.
        StoreError: If a state cannot be written.
    """
    learner = _Learner(model, text, valid, learning_rate, trainable, seed, fine_tuning, importance or {}, beside)
    meter = Meter(_task(model).unit, learner.steps, model.training.clip_norm)
    saving = Saving([states] if states else [], SAVE_EVERY)
    return train(learner, Hooks(Reporting(meter, report), saving))


Inputs = tuple[tuple[np.ndarray, ...], np.ndarray]  # of the model, and labels


@dataclass(eq=False)
class _Learner:
    """A model that is trained: all of it, or maps of its encoder and the head; an epoch is a pass over documents."""

    model: TargetModel
    text: Text
    valid: Text | None
    learning_rate: float
    trainable: TrainedPart
    seed: int
    fine_tuning: FineTuning
    importance: Weights
    beside: Beside | None
    rate_setting: str = "learning_rates"

    def __post_init__(self) -> None:
        settings = self.model.training
        self.per_epoch = batch_count(len(self.text), settings.batch_size)
        self.epochs = max(settings.epochs, math.ceil(settings.min_steps / self.per_epoch))
        self.steps = self.epochs * self.per_epoch
        self.phases = [Phase(0, self.steps, 0, [])]
        self.labels = self.model.task_head.prepare(flat(self.text.labels))

    @functools.cached_property
    def step(self) -> "_Step":
        """The compiled update, made when it is needed first: the model has the weights that it starts from then."""
        step = _Step.of(self.model, self.trainable)
        step.restart(self.seed, self.importance)
        return step

    def evaluations(self, phase: Phase) -> set[int]:
        return evaluation_steps(phase.steps, self.model.training.evaluations if self.valid is not None else 1)

    def rate(self, phase: Phase, step: int) -> float:
        return one_cycle(step, phase.steps, self.learning_rate)

    def batches(self, _phase: Phase, taken: int, /) -> Iterator[Inputs]:
        for epoch in range(taken // self.per_epoch, self.epochs):
            generator = stream(self.seed, "order", epoch)
            skipped = max(0, taken - epoch * self.per_epoch)
            yield from _document_batches(self.text, self.labels, self.model.training, generator, skipped)

    def where(self, _batch: Inputs, /) -> str:
        return ""

    def update(self, batch: Inputs, step: int, rate: float, _average: float, /) -> StepResult:
        train_step, (inputs, labels) = self.step, batch  # the first time it takes the weights as they are for the start
        if self.beside is not None:
            self.beside(step, self.steps)
        rates = layer_rates(self.fine_tuning, train_step.layers, step, self.steps)
        chosen = np.array(masks(self.seed, step), np.int32)
        loss, norm = train_step(inputs, labels, chosen, rate, rates, self.fine_tuning.stay_near)
        return StepResult(loss, norm, len(labels))

    def evaluate(self) -> dict[str, float]:
        of_train = pooled_features(self.model, _sample(self.text, self.seed))
        self.model.settle_statistics(of_train)
        if self.valid is None:
            is_number = np.isfinite(_predict_features(self.model, of_train)).all()
            return {} if is_number else {"nll": math.nan}
        return _task(self.model).score_all(predict(self.model, self.valid), self.valid.labels)

    def averaged_weights(self) -> AbstractContextManager[None]:
        return nullcontext()  # nothing is averaged

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        if self.valid is None:
            return (-metrics.get("nll", 0.0),)
        return _task(self.model).rank(metrics, self.model.training.select)

    def weights(self) -> Weights:
        return get_weights(self.model)

    def set_weights(self, weights: Weights) -> None:
        set_weights(self.model, weights)

    def restart(self) -> None:
        raise NotImplementedError("no model of a target task goes on after a divergence")

    def arrays(self) -> Arrays:
        arrays = {f"weights/{name}": array for name, array in self.weights().items()} | self.step.arrays()
        if self.beside is not None:
            arrays |= {f"beside/{name}": array for name, array in self.beside.arrays().items()}
        return arrays

    def restore(self, arrays: Arrays, step: int, /) -> None:
        # The model still has the weights of the start, which the compiled update takes first.
        self.step.restore(arrays)
        self.set_weights(_part(arrays, "weights/"))
        if self.beside is not None:
            self.beside.restore(_part(arrays, "beside/"), step, self.steps)

    def notes(self) -> dict[str, Any]:
        return {}

    def recall(self, _notes: dict[str, Any], /) -> None:
        pass


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _is_of_encoder(model: TargetModel, name: str) -> bool:
    return not name.startswith((model.head.name, model.normalise.name, "layer_weights"))


def average_with_start(
    model: TargetModel, start: Weights, after: Weights, share: float, train: Text, seed: int
) -> None:
    """Average the encoder of a trained model with the one it started from (WiSE-FT, Wortsman et al. 2022).

    Args:
        model: Where the average is put.
        start: The weights that the training started from, by name; only the encoder's are used.
        after: The trained weights.
        share: Their share; all else is that of the start. With 1 it is the trained model.
        train: The training documents, from which the statistics of the normalisation are taken.
        seed: Seed of their sample.
    """
    if share == 1.0:
        set_weights(model, after)
        return
    encoder = [name for name in after if _is_of_encoder(model, name)]
    set_weights(model, after | {name: start[name] + share * (after[name] - start[name]) for name in encoder})
    model.settle_statistics(pooled_features(model, _sample(train, seed)))


def _sample(train: Text, seed: int) -> Text:
    """Return the training documents that the statistics of the normalisation are taken from."""
    return train.take(stream(seed, "statistics").permutation(len(train))[:STATISTICS])


def _task(model: TargetModel) -> TargetTask:
    return TARGETS[model.training.model]


def _document_batches(
    text: Text, labels: np.ndarray, settings: TargetTraining, generator: np.random.Generator, skipped: int
) -> Iterator[Inputs]:
    """Yield the inputs of the whole model, and the labels, of an epoch, but for some batches at its beginning."""
    for batch in shuffled_batches(text, settings.batch_size, settings.max_tokens, generator, skipped):
        yield batch.inputs, labels[batch.rows]


def predict(model: TargetModel, documents: Text, features: np.ndarray | None = None) -> Said:
    """Return what a model says of documents or of their words, as `Said` has it.

    Args:
        model: The model.
        documents: The documents.
        features: Their pooled states, where they are known already.
    """
    return _predict_features(model, pooled_features(model, documents) if features is None else features)


def pooled_features(model: TargetModel, documents: Text) -> np.ndarray:
    """Return the pooled states of each document, or the states of each word, without dropout: (rows, width)."""
    features = np.zeros((documents.n_rows, model.head.kernel.shape[0]), np.float32)
    batches, one_takes = sorted_batches(documents, EVALUATION_TOKENS, model.training.max_tokens), threading.Lock()
    first = list(itertools.islice(batches, AT_A_TIME))
    batches = itertools.chain(first, batches)

    def compute() -> None:
        while True:
            with one_takes:
                batch = next(batches, None)
            if batch is None:
                return
            features[batch.rows] = model.compiled_features(*batch.inputs).numpy()

    if len(first) < AT_A_TIME:  # to start threads takes as long as to read a short text
        compute()
        return features
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        for thread in [threads.submit(compute) for _ in range(AT_A_TIME)]:
            thread.result()
    return features


def _predict_features(model: TargetModel, features: np.ndarray) -> Said:
    return np.array(model.task_head.said(model.compiled_outputs(features)))


class _Step:
    """A compiled training step of a model, traced once and used for every cell of the comparison."""

    def __init__(self, model: TargetModel, trainable: TrainedPart) -> None:
        settings = model.training
        # The gradient is taken of these; `updated` is what the optimizer changes.
        variables = model.trainable_variables
        updated, maps = variables, None
        if trainable == "maps":
            embedding, mapped = model.encoder.embedding.embeddings, model.encoder.trainable_variables
            if settings.maps.of == "kernels":
                mapped = [weight for weight in mapped if len(weight.shape) == 2 and weight is not embedding]
            maps = LinearMaps(mapped, embedding, settings.maps)
            mapped_ones = {id(weight) for weight in mapped}
            rest = [weight for weight in model.trainable_variables if id(weight) not in mapped_ones]
            variables, updated = [*mapped, *rest], [*maps.parameters, *rest]
        self._maps, self._updated = maps, updated
        names = {id(variable): name for name, variable in named_variables(model).items()}
        self._names = [names.get(id(variable), "") for variable in updated]  # maps have none
        sizes = model.encoder.vocabulary_size, settings.batch_size, settings.max_tokens
        precision = choose_precision(settings.precision, model.settings, *sizes)
        layers = [*model.encoder.layers_of_variables, model.head_variables]
        self.layers = len(layers)
        if trainable == "all":
            of_encoder = list(model.encoder.trainable_variables)
            self.optimizer = layered = LayeredAdamW(updated, of_encoder, settings.weight_decay)
            depth = {id(variable): n for n, layer in enumerate(layers) for variable in layer}
            depths = [depth[id(variable)] for variable in updated]
        else:
            self.optimizer = make_optimizer("adamw", updated, settings.weight_decay)
        # Any batch size and length: one trace for all.
        inputs = tf.TensorSpec((None, None), tf.int32), model.places
        labels, seed, rate, rates, near = (
            tf.TensorSpec((None,), model.task_head.label_type),
            tf.TensorSpec((2,), tf.int32),
            tf.TensorSpec((), tf.float32),
            tf.TensorSpec((len(layers),), tf.float32),
            tf.TensorSpec((), tf.float32),
        )

        @tf.function(input_signature=[inputs, labels, seed, rate, rates, near], autograph=False)
        def train_step(inputs, labels, seed, learning_rate, rates, near):  # type: ignore[no-untyped-def]
            with tf.GradientTape() as tape:
                features = model.features(inputs[0], inputs[1], seed, precision)
                loss = tf.reduce_mean(model.task_head.losses(model.outputs_of(features, seed), labels))
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            if trainable == "all":
                layered.anchors.rates, layered.anchors.stay_near = [rates[n] for n in depths], near
                gradients = [g * tf.sign(rates[n]) for g, n in zip(gradients, depths, strict=True)]
            if maps is None:
                return loss, clipped_update(self.optimizer, updated, gradients, settings.clip_norm, learning_rate)
            of_mapped, of_rest = gradients[: len(maps.weights)], gradients[len(maps.weights) :]
            gradients = [*maps.gradients(of_mapped), *of_rest]
            norm = clipped_update(self.optimizer, updated, gradients, settings.clip_norm, learning_rate)
            with tf.control_dependencies([norm]):
                maps.apply()
            return loss, norm

        self._train_step = train_step

    @staticmethod
    @functools.lru_cache(maxsize=4)
    def of(model: TargetModel, trainable: TrainedPart) -> "_Step":
        """Return the compiled step of a model; the models of the comparison's cells are the same one, reloaded."""
        return _Step(model, trainable)

    def restart(self, seed: int, importance: Weights) -> None:
        """Forget what was gathered in an earlier training; maps begin at the weights as they are now.

        Args:
            seed: Seed of the maps' factors that are not zero at the start.
            importance: How much the encoder's weights are held where they start, by name; those not named: alike.
        """
        if self._maps is not None:
            self._maps.restart(seed)
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        if isinstance(self.optimizer, LayeredAdamW):
            self.optimizer.start_from(self._updated, [importance.get(name) for name in self._names])

    def arrays(self) -> Arrays:
        """Return all that the next update depends on beside the model's weights and the start."""
        maps = self._maps.parameters if self._maps is not None else []
        arrays = {f"optimizer/{n}": np.array(v) for n, v in enumerate(self.optimizer.variables)}
        return arrays | {f"maps/{n}": np.array(v) for n, v in enumerate(maps)}

    def restore(self, arrays: Arrays) -> None:
        """Take up what `arrays` returned, after a `restart` from the same weights as before."""
        for kind, variables in (
            ("optimizer", self.optimizer.variables),
            ("maps", self._maps.parameters if self._maps is not None else []),
        ):
            for n, variable in enumerate(variables):
                variable.assign(arrays[f"{kind}/{n}"])

    def __call__(
        self, inputs: Any, labels: np.ndarray, seed: np.ndarray, rate: float, rates: np.ndarray, near: float
    ) -> tuple[float, float]:
        loss, norm = self._train_step(inputs, labels, seed, np.float32(rate), rates, np.float32(near))
        return float(loss), float(norm)


@functools.lru_cache(maxsize=2)
def reusable_target_model(
    settings: Model, kind: type[TargetTraining], training_json: str, vocabulary_size: int, classes: int
) -> TargetModel:
    """Return one model of an architecture, for cells that load their own weights into it."""
    return TargetModel(settings, kind.model_validate_json(training_json), vocabulary_size, classes)

"""Training of a classifier: all of it, or the head alone on features that are computed once."""

import functools
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from rnnlm.evaluation.classification import classification_metrics
from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Weights, get_weights, named_variables, set_weights
from rnnlm.model.classifier import Classifier
from rnnlm.model.precision import Precision
from rnnlm.seeds import masks, stream
from rnnlm.settings import ClassifierTraining, ClassWeights, FineTuning, Model, Select, Trainable
from rnnlm.tokens import Text
from rnnlm.training.batches import batch_count, shuffled_batches, sorted_batches
from rnnlm.training.fine_tuning import LayeredAdamW, layer_rates
from rnnlm.training.maps import LinearMaps
from rnnlm.training.precision import choose_precision
from rnnlm.training.prefetch import Prefetch
from rnnlm.training.progress import Meter, Report, evaluation_steps, silent
from rnnlm.training.schedule import one_cycle
from rnnlm.training.update import check_finite, clipped_update, make_optimizer

# Tokens of a batch: wide enough for fast products, and the largest arrays of the default models are some 50 MB. Two
# batches at a time, because the recurrence's small operations leave a core idle: on two cores 1,013 documents a second
# in place of 779 (the demo's sizes), 261 in place of 217 (one layer of 400).
EVALUATION_TOKENS = 16_384
AT_A_TIME = 2
STATISTICS = 512  # training documents that the statistics of the normalisation are taken from
SHARES = (1.0, 0.75, 0.5, 0.25)  # of the trained weights, in an average with those before


def train_classifier(
    model: Classifier,
    train: Text,
    valid: Text,
    learning_rate: float,
    *,
    trainable: Trainable,
    seed: int,
    fine_tuning: FineTuning = FineTuning(),  # noqa: B008 (it is frozen)
    importance: Weights | None = None,
    frozen_valid: np.ndarray | None = None,
    beside: Callable[[int, int], None] | None = None,
    report: Report = silent,
) -> list[Point]:
    """Train a classifier; it ends with the weights that were best on the validation split.

    Args:
        model: The classifier, with its training settings; its weights are where the training starts.
        train: Labelled training documents.
        valid: Labelled validation documents.
        learning_rate: Peak of the one-cycle schedule.
        trainable: all weights; or linear maps of the encoder's weights and the head; or the head alone: the pooled
            states of the frozen encoder are then computed once, without dropout, and an epoch costs next to nothing.
        seed: Seed of the order and of dropout.
        fine_tuning: Rates by depth, frozen layers and nearness to the start, where all weights are trained.
        importance: How much each weight of the encoder, by name, is held where it starts; none: all alike.
        frozen_valid: The validation documents' pooled states, where the head alone is trained and they are known.
        beside: Called before each step with the steps taken and all steps: what else the encoder is trained on.
        report: Called about 200 times and at each evaluation.

    Returns:
        The learning curve, with `accuracy`, `macro_f1` and `nll` of the validation split.

    Raises:
        TrainingError: If the loss is no longer a number.
    """
    settings = model.training
    per_epoch = batch_count(len(train), settings.batch_size)
    epochs = max(settings.epochs, math.ceil(settings.min_steps / per_epoch))
    steps = epochs * per_epoch
    evaluate_at = evaluation_steps(steps, settings.evaluations)
    features_now: Callable[[], tuple[np.ndarray, np.ndarray]]
    if trainable != "head":
        batches = functools.partial(_document_batches, train, settings)
        features_now = functools.partial(_features_of, model, _sample(train, seed), valid)
    else:
        on_valid = pooled_features(model, valid) if frozen_valid is None else frozen_valid
        features = pooled_features(model, train), on_valid
        batches = functools.partial(_feature_batches, features[0], train.labels, per_epoch)
        features_now = lambda: features  # noqa: E731
    train_step = _Step.of(model, trainable)
    of_classes = class_weights(train.labels, model.classes, settings.class_weights)
    train_step.restart(seed, of_classes, importance or {})
    points: list[Point] = []
    best, best_score = get_weights(model), (-math.inf, -math.inf)
    meter, since, read, step = Meter("documents", steps, settings.clip_norm), [], 0, 0
    waited = 0.0
    for epoch in range(epochs):
        with Prefetch(batches(stream(seed, "order", epoch))) as prepared:
            for inputs, labels_of_batch in prepared:
                if beside is not None:
                    beside(step, steps)
                rate = one_cycle(step, steps, learning_rate)
                rates = layer_rates(fine_tuning, train_step.layers, step, steps)
                loss, norm = train_step(
                    inputs, labels_of_batch, np.array(masks(seed, step), np.int32), rate, rates, fine_tuning.stay_near
                )
                check_finite(loss, norm, f"step {step + 1} of {steps}", "learning_rates")
                step += 1
                read += len(labels_of_batch)
                meter.add(len(labels_of_batch), loss, norm, waited + prepared.waited)
                since.append(loss)
                if step in evaluate_at:
                    with meter.paused():
                        train_features, valid_features = features_now()
                        model.settle_statistics(train_features)
                        metrics = classification_metrics(_predict_features(model, valid_features), valid.labels)
                    points.append(Point(step=step, tokens=read, train_loss=float(np.mean(since)), metrics=metrics))
                    report(meter.progress(step, rate, metrics))
                    since = []
                    score = selection_score(metrics, settings.select)
                    if score > best_score:
                        best, best_score = get_weights(model), score
                elif meter.due(step):
                    report(meter.progress(step, rate, {}))
        waited += prepared.waited
    set_weights(model, best)
    return points


def average_with_start(model: Classifier, start: Weights, train: Text, valid: Text, seed: int) -> dict[str, float]:
    """Average the encoder of a trained classifier with the one it started from (WiSE-FT, Wortsman et al. 2022).

    The model ends with the average that is best on the validation split, which may be the trained one itself.

    Args:
        model: The trained classifier.
        start: The weights that its training started from, by name; only the encoder's are used.
        train: Its training documents, from which the statistics of the normalisation are taken.
        valid: Labelled validation documents.
        seed: Seed of the sample.

    Returns:
        The scores on the validation split, and the `share` of the trained weights.
    """
    sample = _sample(train, seed)
    after = get_weights(model)
    encoder = [name for name in after if not name.startswith((model.head.name, model.normalise.name, "layer_weights"))]
    found = []
    for share in SHARES:
        set_weights(model, after | {name: start[name] + share * (after[name] - start[name]) for name in encoder})
        train_features, valid_features = _features_of(model, sample, valid)
        model.settle_statistics(train_features)
        metrics = classification_metrics(_predict_features(model, valid_features), valid.labels)
        found.append((selection_score(metrics, model.training.select), metrics | {"share": share}, get_weights(model)))
    _, metrics, weights = max(found, key=lambda one: one[0])
    set_weights(model, weights)
    return metrics


def _sample(train: Text, seed: int) -> Text:
    """Give the training documents that the statistics of the normalisation are taken from."""
    return train.take(stream(seed, "statistics").permutation(len(train))[:STATISTICS])


def selection_score(metrics: dict[str, float], select: Select) -> tuple[float, float]:
    """Give what the best checkpoint is best in; of two with the same accuracy, the one with the lower NLL."""
    return (0.0 if select == "nll" else metrics[select]), -metrics["nll"]


def class_weights(labels: np.ndarray, classes: int, weights: ClassWeights) -> np.ndarray:
    """Give what a document of each class counts in the loss: (classes,), 1 in the mean over documents.

    Balanced: n / (k n_c) for n documents of k classes, n_c of this one (King & Zeng 2001), as scikit-learn does it.
    """
    if weights == "none":
        return np.ones(classes, np.float32)
    counts = np.bincount(labels, minlength=classes)
    # The weight of a class without a document is never asked for.
    return np.asarray(len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), np.float32)


def _document_batches(
    train: Text, settings: ClassifierTraining, generator: np.random.Generator
) -> Iterator[tuple[tuple[np.ndarray, ...], np.ndarray]]:
    """Give the inputs of the whole model, and the labels, of an epoch."""
    for batch in shuffled_batches(train, settings.batch_size, settings.max_tokens, generator):
        yield (batch.tokens, batch.lengths), batch.labels


def _feature_batches(
    features: np.ndarray, labels: np.ndarray, batches: int, generator: np.random.Generator
) -> Iterator[tuple[tuple[np.ndarray, ...], np.ndarray]]:
    """Give the inputs of the head alone, and the labels, of an epoch."""
    for chosen in np.array_split(generator.permutation(len(labels)), batches):
        yield (features[chosen],), labels[chosen].astype(np.int32)


def predict(model: Classifier, documents: Text, features: np.ndarray | None = None) -> np.ndarray:
    """Give the probability of each class of each document: (documents, classes).

    Args:
        model: The classifier.
        documents: The documents.
        features: Their pooled states, where they are known already.
    """
    return _predict_features(model, pooled_features(model, documents) if features is None else features)


def pooled_features(model: Classifier, documents: Text) -> np.ndarray:
    """Give the pooled states of each document, without dropout: (documents, width)."""
    features = np.zeros((len(documents), model.head.kernel.shape[0]), np.float32)
    batches, one_takes = sorted_batches(documents, EVALUATION_TOKENS, model.training.max_tokens), threading.Lock()

    def compute() -> None:
        while True:
            with one_takes:
                batch = next(batches, None)
            if batch is None:
                return
            features[batch.documents] = model.compiled_features(batch.tokens, batch.lengths).numpy()

    with ThreadPoolExecutor(AT_A_TIME) as threads:
        for thread in [threads.submit(compute) for _ in range(AT_A_TIME)]:
            thread.result()
    return features


def _features_of(model: Classifier, train: Text, valid: Text) -> tuple[np.ndarray, np.ndarray]:
    return pooled_features(model, train), pooled_features(model, valid)


def _predict_features(model: Classifier, features: np.ndarray) -> np.ndarray:
    return np.array(model.probabilities(model.logits(tf.constant(features))))


class _Step:
    """A compiled training step of a model, traced once and used for every cell of the comparison."""

    def __init__(self, model: Classifier, trainable: Trainable) -> None:
        settings = model.training
        # The gradient is taken of these; `updated` is what the optimizer changes.
        variables = model.head_variables if trainable == "head" else model.trainable_variables
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
        precision: Precision = "float32"
        if trainable != "head":
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
        self._class_weights = tf.Variable(tf.ones(model.classes), trainable=False)
        # Any batch size and length: one trace for all.
        inputs: tuple[tf.TensorSpec, ...]
        if trainable != "head":
            inputs = (tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32))
        else:
            inputs = (tf.TensorSpec((None, model.head.kernel.shape[0]), tf.float32),)
        labels, seed, rate, rates, near = (
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((2,), tf.int32),
            tf.TensorSpec((), tf.float32),
            tf.TensorSpec((len(layers),), tf.float32),
            tf.TensorSpec((), tf.float32),
        )

        @tf.function(input_signature=[inputs, labels, seed, rate, rates, near], autograph=False)
        def train_step(inputs, labels, seed, learning_rate, rates, near):  # type: ignore[no-untyped-def]
            with tf.GradientTape() as tape:
                features = model.features(inputs[0], inputs[1], seed, precision) if trainable != "head" else inputs[0]
                losses = model.losses_of(model.logits(features, seed), labels)
                loss = tf.reduce_mean(losses * tf.gather(self._class_weights, labels))
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
    def of(model: Classifier, trainable: Trainable) -> "_Step":
        """Give the compiled step of a model; the models of the comparison's cells are the same one, reloaded."""
        return _Step(model, trainable)

    def restart(self, seed: int, weights: np.ndarray, importance: Weights) -> None:
        """Forget what was gathered in an earlier training; maps begin at the weights as they are now.

        Args:
            seed: Seed of the maps' factors that are not zero at the start.
            weights: (classes,) what a document of each class counts in the loss.
            importance: How much the encoder's weights are held where they start, by name; those not named: alike.
        """
        self._class_weights.assign(weights)
        if self._maps is not None:
            self._maps.restart(seed)
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros_like(variable.value))
        if isinstance(self.optimizer, LayeredAdamW):
            self.optimizer.start_from(self._updated, [importance.get(name) for name in self._names])

    def __call__(
        self, inputs: Any, labels: np.ndarray, seed: np.ndarray, rate: float, rates: np.ndarray, near: float
    ) -> tuple[float, float]:
        loss, norm = self._train_step(inputs, labels, seed, np.float32(rate), rates, np.float32(near))
        return float(loss), float(norm)


@functools.lru_cache(maxsize=2)
def reusable_classifier(settings: Model, training_json: str, vocabulary_size: int, classes: int) -> Classifier:
    """Give one classifier of an architecture, for cells that load their own weights into it."""
    return Classifier(settings, ClassifierTraining.model_validate_json(training_json), vocabulary_size, classes)

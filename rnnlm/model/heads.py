"""The heads of target models: width, loss, and what the outputs mean."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from rnnlm.settings import ClassifierTraining, ClassWeights, RegressorTraining, TaggerTraining

# Standard deviations of the training labels: beyond, an error counts in proportion, so that a few far labels do not
# rule the training (Huber 1964).
HUBER = 1.0


class Head(Protocol):
    """A target task's head.

    Attributes:
        outputs: Its width.
        label_type: The type of the labels that its loss takes.
    """

    outputs: int
    label_type: tf.DType

    def prepare(self, labels: np.ndarray) -> np.ndarray:
        """Take from the training labels what the loss depends on, and return them as the loss takes them."""

    def losses(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Return the loss of each document: (batch,)."""

    def said(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return what the outputs say: probabilities (batch, classes), or numbers (batch,)."""

    def description(self) -> dict[str, float]:
        """Return what belongs to the trained model beside its weights, by its name in the model's description."""

    def restore(self, description: Any) -> None:
        """Take up what `description` returned."""


class ClassHead:
    """Two classes get one logit and a sigmoid, more get a softmax; `said` returns one column a class for both.

    The tags of words are classes, too.

    Args:
        training: Label smoothing, weights of the classes.
        classes: Number of classes.
    """

    label_type = tf.int32

    def __init__(self, training: ClassifierTraining | TaggerTraining, classes: int) -> None:
        self.classes = classes
        self.outputs = 1 if classes == 2 else classes
        self._smoothing, self._weighting = training.label_smoothing, training.class_weights
        self._weights = tf.Variable(tf.ones(classes), trainable=False)

    def prepare(self, labels: np.ndarray) -> np.ndarray:
        """Take the weights of the classes, and return class indices."""
        self._weights.assign(class_weights(labels, self.classes, self._weighting))
        return labels.astype(np.int32)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return what the outputs' probabilities should be: (rows, outputs), float64, with label smoothing."""
        wanted = np.eye(self.classes)[labels] * (1.0 - self._smoothing) + self._smoothing / self.classes
        return np.asarray(wanted[:, 1:] if self.classes == 2 else wanted)

    def weights_of(self, labels: np.ndarray) -> np.ndarray:
        """Return what each label counts: (rows,), float64."""
        return np.asarray(self._weights.numpy().astype(np.float64)[labels])

    def losses(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Return the loss of each document, in nats, times the weight of its class: (batch,).

        The negative log-likelihood of its label, or with label smoothing of the label mixed with all classes alike
        (Szegedy et al. 2016).
        """
        return self._nll(outputs, labels) * tf.gather(self._weights, labels)

    def _nll(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        spread = self._smoothing / self.classes
        if self.classes == 2:
            wanted = tf.cast(labels, logits.dtype) * (1.0 - 2.0 * spread) + spread
            return tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits[:, 0])
        if not spread:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        wanted = tf.one_hot(labels, self.classes, 1.0 - spread * (self.classes - 1), spread)
        return tf.nn.softmax_cross_entropy_with_logits(wanted, logits)

    def said(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return the probability of each class: (batch, classes)."""
        if self.classes == 2:
            return tf.concat([tf.sigmoid(-outputs), tf.sigmoid(outputs)], axis=1)
        return tf.nn.softmax(outputs)

    def description(self) -> dict[str, float]:
        """Return nothing."""
        return {}

    def restore(self, description: Any) -> None:
        """Take up nothing."""


class NumberHead:
    """One output, in standard deviations of the training labels from their mean."""

    label_type = tf.float32
    outputs = 1

    def __init__(self, _training: RegressorTraining, _classes: int) -> None:
        # Plain numbers, so that an exported function holds them as constants.
        self._numbers = {"mean": 0.0, "deviation": 1.0, "low": -np.inf, "high": np.inf}

    def prepare(self, labels: np.ndarray) -> np.ndarray:
        """Take mean, standard deviation and range of the labels, and return them standardised."""
        mean, deviation = float(labels.mean()), float(labels.std()) or 1.0
        self._numbers = {"mean": mean, "deviation": deviation, "low": float(labels.min()), "high": float(labels.max())}
        # In float64 until here: labels such as dates may differ by little beside their size.
        return ((labels - mean) / deviation).astype(np.float32)

    def losses(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Return Huber's loss of each document, in squared standard deviations: (batch,)."""
        error = tf.abs(outputs[:, 0] - labels)
        return tf.where(error <= HUBER, 0.5 * error**2, HUBER * (error - 0.5 * HUBER))

    def said(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return a number each, (batch,) float64, within the range of the training labels."""
        n = self._numbers
        return tf.clip_by_value(n["mean"] + n["deviation"] * tf.cast(outputs[:, 0], tf.float64), n["low"], n["high"])

    def description(self) -> dict[str, float]:
        """Return how outputs become numbers."""
        return dict(self._numbers)

    def restore(self, description: Any) -> None:
        """Take up how outputs become numbers."""
        self._numbers = dict(description)


# By what models of the task are called.
HEADS: dict[str, Callable[[Any, int], Head]] = {"classifier": ClassHead, "regressor": NumberHead, "tagger": ClassHead}


def class_weights(labels: np.ndarray, classes: int, weights: ClassWeights) -> np.ndarray:
    """Return what a document of each class counts in the loss: (classes,), 1 in the mean over documents.

    Balanced: n / (k n_c) for n documents of k classes, n_c of this one (King & Zeng 2001), as scikit-learn does it.
    """
    if weights == "none":
        return np.ones(classes, np.float32)
    counts = np.bincount(labels, minlength=classes)
    # The weight of a class without a document is never asked for.
    return np.asarray(len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), np.float32)

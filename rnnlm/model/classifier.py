"""The classifier: the encoder's states of a document, pooled, and a dense head."""

import keras
import numpy as np
import tensorflow as tf

from rnnlm.model.dropout import locked_dropout
from rnnlm.model.encoder import Encoder
from rnnlm.model.precision import Precision, float32
from rnnlm.seeds import derived
from rnnlm.settings import ClassifierTraining, Model


class Classifier(keras.layers.Layer):
    """Probability of each class of a document.

    Two classes get one logit and a sigmoid, more get a softmax; `probabilities` gives one column a class for both.

    Args:
        settings: The language model's widths, layers and dropout.
        training: The classifier's pooling and dropout.
        vocabulary_size: Number of tokens.
        classes: Number of classes.
        seed: Seed of the initial weights.
    """

    def __init__(
        self, settings: Model, training: ClassifierTraining, vocabulary_size: int, classes: int, seed: int = 0
    ) -> None:
        super().__init__(name="classifier")
        self.settings = settings
        self.training = training
        self.classes = classes
        dropout = training.encoder_dropout or settings.dropout
        self.encoder = Encoder(settings.model_copy(update={"dropout": dropout}), vocabulary_size, seed)
        # ELMo (Peters et al. 2018) sums its layers, which are equally wide; here they are side by side.
        pooled = self.encoder.widths if training.layers == "mixed" else [settings.embedding]
        self.pooled_widths = [width * (3 if training.pooling == "concat" else 1) for width in pooled]
        self.width = width = sum(self.pooled_widths)
        self.layer_weights = None
        if training.layers == "mixed":
            self.layer_weights = self.add_weight(shape=(len(pooled),), initializer="zeros", name="layer_weights")
        # Pooled states of a trained encoder differ in scale from a fresh one's by far; normalised, one learning rate
        # suits both. Scale and offset are left to the head.
        self.normalise = keras.layers.BatchNormalization(momentum=0.9, center=False, scale=False, name="normalise")
        self.head = keras.layers.Dense(
            1 if classes == 2 else classes,
            kernel_initializer=keras.initializers.GlorotUniform(derived(seed, "head")),
            name="head",
        )
        self.normalise.build((None, width))
        self.head.build((None, width))
        self.built = True
        self.compiled_features = tf.function(
            self.features,
            input_signature=[tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32)],
            autograph=False,
        )

    def features(
        self,
        tokens: tf.Tensor,
        lengths: tf.Tensor,
        seed: tf.Tensor | None = None,
        precision: Precision = "float32",
    ) -> tf.Tensor:
        """Return the pooled states of documents: (batch, width); those of several layers side by side.

        Args:
            tokens: (time, batch) token ids, padded behind.
            lengths: (batch,) true lengths, at least 1.
            seed: Two integers that choose the encoder's dropout masks; if None, nothing is dropped.
            precision: Type of the products.
        """
        outputs, _ = self.encoder(
            tokens, seed=seed, precision=precision, training=seed is not None, all_layers=self.layer_weights is not None
        )
        layers = outputs if self.layer_weights is not None else [outputs]
        return tf.concat([pool(float32(hidden), lengths, self.training.pooling) for hidden in layers], axis=1)

    def logits(self, features: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Return the logits of pooled features: (batch, 1) for two classes, (batch, classes) for more.

        Args:
            features: (batch, width).
            seed: Two integers that choose the dropout mask and mean training; if None, it is an evaluation.
        """
        if self.training.normalise:
            features = self.normalise(features, training=seed is not None)
        if self.layer_weights is not None:
            # Of all layers alike, each is 1.
            share = tf.nn.softmax(self.layer_weights) * len(self.pooled_widths)
            features *= tf.repeat(share, self.pooled_widths)
        # Seen as a sequence of one step, the locked mask is a plain one.
        dropped = locked_dropout(features[None], self.training.dropout, seed, 1_000)[0]
        return self.head(dropped)

    @property
    def head_variables(self) -> list[keras.Variable]:
        """What is trained above the encoder."""
        return [*self.head.trainable_variables, *([self.layer_weights] if self.layer_weights is not None else [])]

    def settle_statistics(self, features: np.ndarray) -> None:
        """Take the statistics of the normalisation from pooled features of training documents.

        The running averages that training leaves behind lag: after the hundred steps of a small training they
        are still half what they were at the start, and the evaluation is at the level of guessing.
        """
        self.normalise.moving_mean.assign(features.mean(axis=0))
        self.normalise.moving_variance.assign(features.var(axis=0))

    def losses_of(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Return the loss of each document, in nats: (batch,).

        The negative log-likelihood of its label, or with label smoothing of the label mixed with all classes alike
        (Szegedy et al. 2016).
        """
        spread = self.training.label_smoothing / self.classes
        if self.classes == 2:
            wanted = tf.cast(labels, logits.dtype) * (1.0 - 2.0 * spread) + spread
            return tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits[:, 0])
        if not spread:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        wanted = tf.one_hot(labels, self.classes, 1.0 - spread * (self.classes - 1), spread)
        return tf.nn.softmax_cross_entropy_with_logits(wanted, logits)

    def probabilities(self, logits: tf.Tensor) -> tf.Tensor:
        """Return the probability of each class: (batch, classes)."""
        if self.classes == 2:
            return tf.concat([tf.sigmoid(-logits), tf.sigmoid(logits)], axis=1)
        return tf.nn.softmax(logits)

    def call(self, tokens: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Return the probability of each class of padded documents."""
        return self.probabilities(self.logits(self.features(tokens, lengths)))


def pool(hidden: tf.Tensor, lengths: tf.Tensor, pooling: str) -> tf.Tensor:
    """Pool states over the true lengths: `last`, or `concat` of last, maximum and mean (Howard & Ruder 2018).

    Args:
        hidden: (time, batch, width).
        lengths: (batch,) true lengths, at least 1; what follows does not count.
        pooling: concat or last.
    """
    last = tf.gather_nd(hidden, tf.stack([lengths - 1, tf.range(tf.shape(lengths)[0])], axis=1))
    if pooling == "last":
        return last
    inside = tf.transpose(tf.sequence_mask(lengths, tf.shape(hidden)[0]))[:, :, None]
    highest = tf.reduce_max(tf.where(inside, hidden, hidden.dtype.min), axis=0)
    mean = tf.reduce_sum(tf.where(inside, hidden, 0.0), axis=0) / tf.cast(lengths, hidden.dtype)[:, None]
    return tf.concat([last, highest, mean], axis=1)

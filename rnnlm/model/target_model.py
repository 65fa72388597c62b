"""The model of a target task: the encoder's states of a document, pooled, and a dense head."""

import keras
import numpy as np
import tensorflow as tf

from rnnlm.model.dropout import locked_dropout
from rnnlm.model.encoder import Encoder
from rnnlm.model.heads import HEADS
from rnnlm.model.precision import Precision, float32
from rnnlm.seeds import derived
from rnnlm.settings import Model, TargetTraining


class TargetModel(keras.layers.Layer):
    """What a document's label is, by the states of an encoder.

    Args:
        settings: The language model's widths, layers and dropout.
        training: Pooling and dropout of the target task's model, whose head follows from it.
        vocabulary_size: Number of tokens.
        classes: Number of classes; 0 where labels are numbers.
        seed: Seed of the initial weights.
    """

    def __init__(
        self, settings: Model, training: TargetTraining, vocabulary_size: int, classes: int, seed: int = 0
    ) -> None:
        super().__init__(name="target_model")
        self.settings = settings
        self.training = training
        self.task_head = HEADS[training.model](training, classes)
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
            self.task_head.outputs,
            kernel_initializer=keras.initializers.GlorotUniform(derived(seed, "head")),
            name="head",
        )
        self.normalise.build((None, width))
        self.head.build((None, width))
        self.built = True
        self.compiled_features = tf.function(
            self.features,
            input_signature=[tf.TensorSpec((None, None), tf.int32), self.places],
            autograph=False,
        )
        # Not with `said`: a head of numbers has its mean and deviation as constants, which another training changes.
        self.compiled_outputs = tf.function(
            self.outputs_of,
            input_signature=[tf.TensorSpec((None, width))],
            autograph=False,
        )

    @property
    def places(self) -> tf.TensorSpec:
        """What `features` takes beside the tokens."""
        return tf.TensorSpec((None, 2) if self.training.pooling == "word" else (None,), tf.int32, "places")

    def features(
        self,
        tokens: tf.Tensor,
        places: tf.Tensor,
        seed: tf.Tensor | None = None,
        precision: Precision = "float32",
    ) -> tf.Tensor:
        """Return the pooled states of documents, or the states of words; those of several layers side by side.

        Args:
            tokens: (time, batch) token ids, padded behind.
            places: (batch,) true lengths, at least 1; or where the words are, (words, 2): the time and the document.
            seed: Two integers that choose the encoder's dropout masks; if None, nothing is dropped.
            precision: Type of the products.

        Returns:
            (batch, width) or (words, width).
        """
        outputs, _ = self.encoder(
            tokens, seed=seed, precision=precision, training=seed is not None, all_layers=self.layer_weights is not None
        )
        layers = outputs if self.layer_weights is not None else [outputs]
        return tf.concat([pool(float32(hidden), places, self.training.pooling) for hidden in layers], axis=1)

    def outputs_of(self, features: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Return the head's outputs for pooled features: (rows, outputs).

        Args:
            features: (rows, width), of documents or words.
            seed: Two integers that choose the dropout mask and mean training; if None, it is an evaluation.
        """
        seen = self.head_inputs(features, training=seed is not None)
        # Seen as a sequence of one step, the locked mask is a plain one.
        dropped = locked_dropout(seen[None], self.training.dropout, seed, 1_000)[0]
        return self.head(dropped)

    def head_inputs(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return what the head sees of pooled features: normalised, and each layer times its weight."""
        if self.training.normalise:
            features = self.normalise(features, training=training)
        if self.layer_weights is not None:
            # Of all layers alike, each is 1.
            share = tf.nn.softmax(self.layer_weights) * len(self.pooled_widths)
            features *= tf.repeat(share, self.pooled_widths)
        return features

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

    def call(self, tokens: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """Return what is said of padded documents or their words: the probability of each class, or a number each."""
        return self.task_head.said(self.outputs_of(self.features(tokens, places)))


def pool(hidden: tf.Tensor, places: tf.Tensor, pooling: str) -> tf.Tensor:
    """Pool states over the true lengths: `last`, or `concat` of last, maximum and mean (Howard & Ruder 2018).

    `word` pools nothing: it takes the states of words.

    Args:
        hidden: (time, batch, width).
        places: (batch,) true lengths, at least 1; what follows does not count. For `word` where the words are,
            (words, 2): the time and the document.
        pooling: concat, last or word.
    """
    if pooling == "word":
        return tf.gather_nd(hidden, places)
    lengths = places
    last = tf.gather_nd(hidden, tf.stack([lengths - 1, tf.range(tf.shape(lengths)[0])], axis=1))
    if pooling == "last":
        return last
    inside = tf.transpose(tf.sequence_mask(lengths, tf.shape(hidden)[0]))[:, :, None]
    highest = tf.reduce_max(tf.where(inside, hidden, hidden.dtype.min), axis=0)
    mean = tf.reduce_sum(tf.where(inside, hidden, 0.0), axis=0) / tf.cast(lengths, hidden.dtype)[:, None]
    return tf.concat([last, highest, mean], axis=1)

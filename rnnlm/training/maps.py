"""Linear maps of frozen weights: theta_t = theta_s + T(theta_s) on parameters, w_t = w_s + T(w_s) on word vectors.

T is what is trained, and it is zero at the start, so that the target model begins exactly as the source model. After
each update the model's own weights are set to what the maps give: they are plain weights at any time, and nothing has
to be merged for evaluation and serving.

The low-rank product W + A B is LoRA (Hu et al. 2022); W + U V W is a low-rank map of the source's own weights.
"""

from typing import Any

import keras
import tensorflow as tf

from rnnlm.seeds import derived
from rnnlm.settings import Maps


class LinearMaps:
    """A map for each weight of an encoder.

    Multiplicative and full maps act on a matrix (inputs, outputs) from the left, so that the same map mixes the inputs
    of all gates, and on the embedding (words, width) from the right: one map for the vectors of all words. A diagonal
    map has a factor for each output, as a bias has with every kind; an additive one is any matrix of low rank.

    Args:
        weights: The weights that are mapped. They change with the maps.
        embedding: The one of them that holds word vectors.
        settings: Kind and rank of the maps.
    """

    def __init__(self, weights: list[keras.Variable], embedding: keras.Variable, settings: Maps) -> None:
        self.weights = weights
        self.settings = settings
        self._is_embedding = [weight is embedding for weight in weights]
        self._source = [tf.Variable(weight.value, trainable=False) for weight in weights]
        self._parts = [
            [keras.Variable(tf.zeros(shape), name=f"map_{n}_{k}") for k, shape in enumerate(self._shapes(n))]
            for n in range(len(weights))
        ]

    @property
    def parameters(self) -> list[keras.Variable]:
        """What is trained."""
        return [part for parts in self._parts for part in parts]

    def restart(self, seed: int) -> None:
        """Take the weights as they are for the source, and set all maps to zero.

        Args:
            seed: Seed of the factors that are not zero. The other factor of each product is.
        """
        for n, (source, weight) in enumerate(zip(self._source, self.weights, strict=True)):
            source.assign(weight.value)
            for k, part in enumerate(self._parts[n]):
                value = tf.zeros(part.shape)
                if k == 1:
                    # Scaled so that its rows (or columns, whichever are longer) have about the norm of one.
                    drawn = tf.random.stateless_normal(part.shape, [derived(seed, "maps"), n])
                    value = drawn / float(max(part.shape)) ** 0.5
                part.assign(value)

    def mapped(self) -> list[tf.Tensor]:
        """Return each weight as its map makes it of the source's."""
        parts = [[tf.convert_to_tensor(part.value) for part in parts] for parts in self._parts]
        return [self._map(n, tf.convert_to_tensor(source), parts[n]) for n, source in enumerate(self._source)]

    def gradients(self, of_weights: list[Any]) -> list[tf.Tensor]:
        """Return the gradient of the parameters from that of the weights, by the chain rule."""
        values = [part.value for part in self.parameters]
        with tf.GradientTape() as tape:
            tape.watch(values)
            mapped = self.mapped()
        dense = [tf.convert_to_tensor(gradient) for gradient in of_weights]
        return list(tape.gradient(mapped, values, output_gradients=dense))

    def apply(self) -> None:
        """Set the weights to what the maps give."""
        for weight, value in zip(self.weights, self.mapped(), strict=True):
            weight.assign(value)

    def _shapes(self, n: int) -> list[tuple[int, ...]]:
        """Return the shapes of a map's parts: the one that is zero at the start, and the other factor if any."""
        shape = tuple(self.weights[n].shape)
        if len(shape) == 1 or self.settings.kind == "diagonal":
            return [(shape[-1],)]
        rows, columns = shape
        side = columns if self._is_embedding[n] else rows
        rank = min(self.settings.rank, side)
        if self.settings.kind == "full":
            return [(side, side)]
        if self.settings.kind == "additive":
            return [(rows, rank), (rank, columns)]
        return [(rank, side), (side, rank)] if self._is_embedding[n] else [(side, rank), (rank, side)]

    def _map(self, n: int, source: tf.Tensor, parts: list[tf.Tensor]) -> tf.Tensor:
        if len(source.shape) == 1 or self.settings.kind == "diagonal":
            return source + source * parts[0]
        if self.settings.kind == "additive":
            return source + parts[0] @ parts[1]
        if self._is_embedding[n]:
            return source + (source @ parts[0] if len(parts) == 1 else (source @ parts[1]) @ parts[0])
        return source + parts[0] @ (source if len(parts) == 1 else parts[1] @ source)

"""How much each weight of a language model matters to a text: the diagonal of the Fisher information.

Elastic weight consolidation (Kirkpatrick et al. 2017) holds the weights that matter most to what was learnt first.
"""

import numpy as np
import tensorflow as tf

from rnnlm.model.checkpoint import Weights, named_variables
from rnnlm.model.language_model import LanguageModel
from rnnlm.seeds import stream
from rnnlm.tokens import Text
from rnnlm.training.batches import row_length, windows

WINDOWS = 200  # from them: with twice as many, the largest entries stay the largest
LENGTH = 64  # tokens of a window


def fisher_information(model: LanguageModel, text: Text, *, seed: int) -> Weights:
    """Return the mean square of the loss's gradient over windows of text: the empirical Fisher information.

    Args:
        model: The language model.
        text: The text that it knows.
        seed: Seed of which windows are taken.

    Returns:
        By the names of the weights, in their shapes; over all weights the mean is 1.
    """
    variables = named_variables(model)
    trained = [name for name, variable in variables.items() if variable.trainable]

    @tf.function(autograph=False)
    def squares(tokens, targets, weights, keep):  # type: ignore[no-untyped-def]
        with tf.GradientTape() as tape:
            losses = model.losses(tokens, targets, weights, model.encoder.zero_states(1), keep, None)
            loss = losses.nll_sum / tf.maximum(tf.reduce_sum(weights), 1.0)
        gradients = tape.gradient(loss, [variables[name].value for name in trained])
        return [tf.square(tf.convert_to_tensor(gradient)) for gradient in gradients]

    generator = stream(seed, "fisher")
    order = np.arange(len(text)) if text.is_running else generator.permutation(len(text))
    there = max(1, row_length(text.n_tokens, 1) // LENGTH)
    taken = min(WINDOWS, there)
    sums = [np.zeros(variables[name].shape, np.float64) for name in trained]
    for window in windows(text, order, 1, np.full(taken, LENGTH)):
        arrays = (tf.constant(a) for a in (window.tokens, window.targets, window.weights, window.keep))
        for total, square in zip(sums, squares(*arrays), strict=True):
            total += square.numpy()
    mean = sum(total.sum() for total in sums) / sum(total.size for total in sums)
    # A model that has nothing to learn from the text holds no weight more than another.
    return {
        name: np.asarray(total / mean if mean > 0.0 else np.ones_like(total), np.float32)
        for name, total in zip(trained, sums, strict=True)
    }

"""`keras.layers.LSTM` on TensorFlow with tied softmax, without any regulariser but the weight decay.

    python -m benchmarks.peers.keras_lstm TASK

Precision bfloat16 is the policy `mixed_bfloat16`; variants: `graph` and `jit` (XLA). Runs in the project's own
environment, which holds Keras and TensorFlow anyway.
"""

import keras
import numpy as np

from benchmarks.rounds import CLIP_NORM, LEARNING_RATE, WEIGHT_DECAY, Task, measure_steps, read_task


def language_model(task: Task) -> keras.Model:
    """Return embedding, LSTM layers of which the last is as wide as the embedding, and tied logits (without a bias)."""
    tokens = keras.Input((task.window,), dtype="int32", batch_size=task.batch)
    embedding = keras.layers.ReversibleEmbedding(task.vocabulary, task.embedding)
    hidden = embedding(tokens)
    for units in [task.hidden] * (task.layers - 1) + [task.embedding]:
        hidden = keras.layers.LSTM(units, return_sequences=True)(hidden)
    return keras.Model(tokens, embedding(hidden, reverse=True))


def main() -> None:
    """Measure the training step."""
    task = read_task()
    keras.utils.set_random_seed(1)
    if task.precision == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = language_model(task)
    model.compile(
        keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM),
        # The model gives logits: the loss is the fused one, no softmax comes before it.
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=task.variant == "jit",
    )

    def step(tokens: np.ndarray, targets: np.ndarray) -> float:
        return float(model.train_on_batch(tokens.astype(np.int32), targets.astype(np.int32)))

    measure_steps(task, step, "keras", "tensorflow")


if __name__ == "__main__":
    main()

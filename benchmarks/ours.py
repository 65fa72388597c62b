"""The training step of this project's language model with every regulariser on.

python -m benchmarks.ours TASK
"""

import numpy as np

from benchmarks.rounds import CLIP_NORM, LEARNING_RATE, WEIGHT_DECAY, measure_steps, read_task
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import Dropout, LanguageModelTraining, Model
from rnnlm.training.batches import Window
from rnnlm.training.step import LanguageModelStep

# The strengths are fastai's defaults, which fastai's program uses too.
DROPOUT = Dropout(input=0.25, hidden=0.15, output=0.1, embedding=0.02, weight=0.2)
AR, TAR = 2.0, 1.0


def main() -> None:
    """Measure the training step."""
    task = read_task()
    widths = {"embedding": task.embedding, "hidden": task.hidden, "layers": task.layers}
    # Variants are other models: qrnn is another cell, adaptive another softmax.
    other = {"": {}, "qrnn": {"cell": "qrnn"}, "adaptive": {"softmax": "adaptive"}}[task.variant]
    shape = Model.model_validate({"dropout": DROPOUT, **widths, **other})
    model = LanguageModel(shape, task.vocabulary, 1)
    settings = LanguageModelTraining(
        batch_size=task.batch,
        window=task.window,
        activation_penalty=AR,
        temporal_penalty=TAR,
        clip_norm=CLIP_NORM,
        weight_decay=WEIGHT_DECAY,
    )
    update = LanguageModelStep(model, settings, "bfloat16" if task.precision == "bfloat16" else "float32")
    ones = np.ones((task.window, task.batch), np.float32)
    updates = 0

    def step(tokens: np.ndarray, targets: np.ndarray) -> float:
        nonlocal updates
        window = Window(tokens.T.astype(np.int32), targets.T.astype(np.int32), ones, ones[:, :, None])
        result = update.run([window], [updates == 0], 1, updates, LEARNING_RATE, 0.0)
        updates += 1
        return result.loss

    measure_steps(task, step, "tensorflow", "keras")


if __name__ == "__main__":
    main()

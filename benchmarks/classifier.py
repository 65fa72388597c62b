"""Documents a second of this project's classifier, in training (all weights) and in evaluation.

python -m benchmarks.classifier TASK
"""

import time
from typing import Literal

import numpy as np

from benchmarks.rounds import CLIP_NORM, LEARNING_RATE, WEIGHT_DECAY, Task, documents, finish, read_task
from rnnlm.model.target_model import TargetModel
from rnnlm.settings import ClassifierTraining, Dropout, Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training.target_model import predict, train_target_model

# The strengths are fastai's defaults, which fastai's program uses too.
DROPOUT = Dropout(input=0.4, hidden=0.3, output=0.0, embedding=0.05, weight=0.5)
HEAD_DROPOUT = 0.4


def main() -> None:
    """Measure the classifier."""
    task = read_task()
    model = TargetModel(
        Model(embedding=task.embedding, hidden=task.hidden, layers=task.layers, dropout=DROPOUT),
        settings(task, epochs=1),
        task.vocabulary,
        classes=2,
        seed=1,
    )
    rates = training_rates(task, model) if task.part == "training" else evaluation_rates(task, model)
    finish(rates, None, "tensorflow", "keras")


def settings(task: Task, epochs: int) -> ClassifierTraining:
    """Return a training of this number of epochs, with one evaluation at its end."""
    precision: Literal["float32", "bfloat16"] = "bfloat16" if task.precision == "bfloat16" else "float32"
    return ClassifierTraining(
        epochs=epochs,
        min_steps=1,
        batch_size=task.batch,
        max_tokens=task.window,
        weight_decay=WEIGHT_DECAY,
        clip_norm=CLIP_NORM,
        dropout=HEAD_DROPOUT,
        evaluations=1,
        precision=precision,
    )


def training_rates(task: Task, model: TargetModel) -> list[float]:
    """Return the documents a second of the training steps alone.

    A training evaluates at its end, but fastai's program does not. So two trainings are timed, of which one is longer
    by `task.steps` epochs. Their difference is training alone.
    """
    train, valid = encoded(task, 1), encoded(task, 2).take(np.arange(task.batch))

    def seconds(epochs: int) -> float:
        model.training = settings(task, epochs)
        begin = time.perf_counter()
        train_target_model(model, train, valid, LEARNING_RATE, trainable="all", seed=1)
        return time.perf_counter() - begin

    seconds(1 + task.steps)  # all shapes are compiled now
    return [task.steps * len(train) / (seconds(1 + task.steps) - seconds(1)) for _ in range(task.rounds)]


def evaluation_rates(task: Task, model: TargetModel) -> list[float]:
    """Return how many documents a second get the probabilities of all classes."""
    test = encoded(task, 1)
    predict(model, test)
    rates = []
    for _ in range(task.rounds):
        begin = time.perf_counter()
        for _ in range(task.steps):
            predict(model, test)
        rates.append(task.steps * len(test) / (time.perf_counter() - begin))
    return rates


def encoded(task: Task, seed: int) -> Text:
    """Return random documents in the form that the project reads."""
    drawn = documents(task, seed)
    unknown = np.zeros(len(drawn.labels), np.int64)  # numbers of characters and words, which training does not use
    return Text(
        vocabulary=Vocabulary(task.vocabulary, eos=3, unk=1, bos=2),
        ids=drawn.ids.astype(np.uint16),
        offsets=drawn.offsets,
        labels=drawn.labels.astype(np.int16),
        n_characters=unknown,
        n_bytes=unknown,
        n_words=unknown,
        document_ids=np.array([str(n) for n in range(len(drawn.labels))], object),
    )


if __name__ == "__main__":
    main()

"""How much weights matter, against its definition; and what holds them."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from rnnlm.model.checkpoint import get_weights, named_variables
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.seeds import stream
from rnnlm.settings import ClassifierTraining, FineTuning, Model
from rnnlm.tokens import Text
from rnnlm.training import fisher
from rnnlm.training.fisher import fisher_information
from rnnlm.training.target_model import train_target_model

MODEL = Model(embedding=4, hidden=5)


@pytest.fixture(scope="module")
def text(encoded: Callable[..., Text]) -> Text:
    generator = np.random.default_rng(1)
    return encoded(*[[2, *generator.integers(4, 12, 15).tolist(), 3] for _ in range(12)])


def test_it_is_the_mean_square_of_the_gradients(text: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every window is one document here, so that its gradient is that of a document by itself."""
    monkeypatch.setattr(fisher, "LENGTH", 17)
    model = LanguageModel(MODEL, 14, seed=2)
    found = fisher_information(model, text, seed=5)
    order = stream(5, "fisher").permutation(len(text))[:11]  # the stream's last token has no target
    variables = named_variables(model)
    sums = {name: np.zeros(array.shape) for name, array in found.items()}
    for place in order:
        ids = np.append(text.document(int(place)), 2).astype(np.int32)
        with tf.GradientTape() as tape:
            logits, _ = model(tf.constant(ids[:-1, None]))
            nll = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=ids[1:-1, None], logits=logits[:-1])
            loss = tf.reduce_mean(nll)
        for name, gradient in zip(found, tape.gradient(loss, [variables[n].value for n in found]), strict=True):
            sums[name] += tf.convert_to_tensor(gradient).numpy().astype(np.float64) ** 2
    mean = sum(s.sum() for s in sums.values()) / sum(s.size for s in sums.values())
    for name, array in found.items():
        np.testing.assert_allclose(array, sums[name] / mean, rtol=2e-3, atol=1e-6)


def test_what_matters_stays_where_it_was(text: Text) -> None:
    documents = Text(**(vars(text) | {"labels": np.arange(12, dtype=np.int16) % 2}))
    training = ClassifierTraining(epochs=1, min_steps=20, batch_size=4, evaluations=1)
    moved = {}
    for held in ("lstm_0/kernel", "lstm_1/kernel"):
        model = TargetModel(MODEL, training, 14, 2, seed=1)
        before = get_weights(model)
        importance = {name: np.zeros_like(array) for name, array in before.items() if name.startswith(("lstm", "emb"))}
        importance[held] = np.full_like(importance[held], 1e6)
        way = FineTuning(stay_near=1.0, importance="fisher")
        train_target_model(
            model, documents, documents, 0.02, trainable="all", seed=1, fine_tuning=way, importance=importance
        )
        after = get_weights(model)
        moved[held] = {n: float(np.abs(after[n] - before[n]).max()) for n in ("lstm_0/kernel", "lstm_1/kernel")}
    for held, distances in moved.items():
        for name, distance in distances.items():
            # Put back at each step, what is held is away by its last step at most.
            assert distance < 0.03 if name == held else distance > 0.05

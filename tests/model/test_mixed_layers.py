"""The states of all layers side by side, each times a weight that is learnt."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rnnlm.model.checkpoint import Checkpoint, Description, get_weights
from rnnlm.model.target_model import TargetModel, pool
from rnnlm.settings import ClassifierTraining, Model
from rnnlm.tokens import Text
from rnnlm.training.target_model import predict, train_target_model

MODEL = Model(embedding=4, hidden=6, layers=3)
TRAINING = ClassifierTraining(epochs=1, min_steps=12, batch_size=4, evaluations=1, layers="mixed", dropout=0.0)


@pytest.mark.parametrize("pooling", ["concat", "last"])
def test_it_pools_the_embedding_and_every_layer(pooling: str) -> None:
    model = TargetModel(MODEL, TRAINING.model_copy(update={"pooling": pooling}), 20, 2, seed=1)
    tokens, lengths = tf.constant(np.random.default_rng(1).integers(4, 20, (5, 3)), tf.int32), tf.constant([5, 2, 4])
    parts = [3 * w if pooling == "concat" else w for w in (4, 6, 6, 4)]
    features = model.features(tokens, lengths).numpy()
    assert features.shape == (3, sum(parts))
    embedded = model.encoder.embedding(tokens)
    np.testing.assert_allclose(features[:, : parts[0]], pool(embedded, lengths, pooling), rtol=1e-6)
    hidden, _ = model.encoder(tokens)
    np.testing.assert_allclose(features[:, -parts[-1] :], pool(hidden, lengths, pooling), rtol=1e-6)


def test_alike_the_weights_change_nothing() -> None:
    model = TargetModel(MODEL, TRAINING.model_copy(update={"normalise": False}), 20, 3, seed=1)
    features = np.random.default_rng(2).normal(size=(4, 60)).astype(np.float32)
    expected = features @ model.head.kernel.numpy()
    np.testing.assert_allclose(model.outputs_of(tf.constant(features)), expected, rtol=1e-4, atol=1e-6)
    assert model.layer_weights is not None
    # The second layer alone counts: four times as much, so that the sum of the weights stays.
    model.layer_weights.assign([0.0, 100.0, 0.0, 0.0])
    alone = 4.0 * features[:, 12:30] @ model.head.kernel.numpy()[12:30]
    np.testing.assert_allclose(model.outputs_of(tf.constant(features)), alone, rtol=1e-4, atol=1e-6)


def test_the_weights_are_learnt_and_kept(encoded: Callable[..., Text], tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    read = encoded(*[[2, *generator.integers(4, 20, 5).tolist(), 3] for _ in range(24)])
    documents = Text(**(vars(read) | {"labels": np.arange(24, dtype=np.int16) % 2}))
    model = TargetModel(MODEL, TRAINING, 20, 2, seed=1)
    before = get_weights(model)
    train_target_model(model, documents, documents, 0.05, trainable="all", seed=1)
    after = get_weights(model)
    assert not np.array_equal(before["layer_weights"], after["layer_weights"])
    description = Description(
        kind="classifier", settings=MODEL, vocabulary_size=20, classifier=TRAINING, labels=["a", "b"]
    )
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model").mkdir()
    Checkpoint(description, after).save(tmp_path / "model", tmp_path / "tokenizer.json")
    again = Checkpoint.load(tmp_path / "model").build()
    assert isinstance(again, TargetModel)
    np.testing.assert_array_equal(predict(again, documents), predict(model, documents))

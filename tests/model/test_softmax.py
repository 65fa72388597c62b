import numpy as np
import pytest
import tensorflow as tf

from rnnlm.model import softmax
from rnnlm.model.softmax import tied_cross_entropy, tied_nll

ROWS, WIDTH, VOCABULARY = 11, 4, 9


@pytest.fixture
def values() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "hidden": generator.normal(size=(ROWS, WIDTH)).astype(np.float32),
        "embeddings": generator.normal(size=(VOCABULARY, WIDTH)).astype(np.float32),
        "bias": generator.normal(size=VOCABULARY).astype(np.float32),
        "targets": generator.integers(0, VOCABULARY, ROWS).astype(np.int32),
        "weights": (generator.random(ROWS) > 0.3).astype(np.float32),
    }


def by_hand(v: dict[str, np.ndarray]) -> np.ndarray:
    """Negative log-likelihood of each row, in float64."""
    logits = v["hidden"].astype(np.float64) @ v["embeddings"].T + v["bias"]
    return np.asarray(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(ROWS), v["targets"]])


@pytest.mark.parametrize("chunk", [1, 4, 11, 64])
def test_loss_is_the_weighted_sum(values: dict[str, np.ndarray], chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "CHUNK", chunk)
    tensors = {name: tf.constant(value) for name, value in values.items()}
    assert float(tied_cross_entropy(**tensors)) == pytest.approx((by_hand(values) * values["weights"]).sum(), rel=1e-5)


@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_gradients_of_the_chunked_loss_equal_the_plain_ones(
    values: dict[str, np.ndarray], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softmax, "CHUNK", chunk)
    h, e, b = (tf.Variable(values[name]) for name in ("hidden", "embeddings", "bias"))
    targets, weights = tf.constant(values["targets"]), tf.constant(values["weights"])
    with tf.GradientTape() as tape:
        loss = 3.0 * tied_cross_entropy(h, tf.convert_to_tensor(e), tf.convert_to_tensor(b), targets, weights)
    found = tape.gradient(loss, [h, e, b])
    with tf.GradientTape() as tape:
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, tf.matmul(h, e, transpose_b=True) + b)
        plain = 3.0 * tf.reduce_sum(nll * weights)
    for mine, theirs in zip(found, tape.gradient(plain, [h, e, b]), strict=True):
        np.testing.assert_allclose(mine, tf.convert_to_tensor(theirs), atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 4, 11, 64])
def test_scores_of_single_rows(values: dict[str, np.ndarray], chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "CHUNK", chunk)
    found = tied_nll(*(tf.constant(values[name]) for name in ("hidden", "embeddings", "bias", "targets")))
    np.testing.assert_allclose(found, by_hand(values), rtol=1e-5)

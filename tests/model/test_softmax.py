import numpy as np
import pytest
import tensorflow as tf

from rnnlm.model import softmax
from rnnlm.model.precision import Precision
from rnnlm.model.softmax import tied_cross_entropy, tied_nll

pytestmark = [
    pytest.mark.usefixtures("computed_by"),
    pytest.mark.parametrize("computed_by", ["native", "tensorflow"], indirect=True),
]

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
    highest = logits.max(axis=1, keepdims=True)
    sums = np.log(np.exp(logits - highest).sum(axis=1)) + highest[:, 0]
    return np.asarray(sums - logits[np.arange(ROWS), v["targets"]])


def loss_and_gradients(v: dict[str, np.ndarray], precision: Precision) -> tuple[float, list[np.ndarray]]:
    h, e, b = (tf.constant(v[name]) for name in ("hidden", "embeddings", "bias"))
    with tf.GradientTape() as tape:
        tape.watch([h, e, b])
        loss = tied_cross_entropy(h, e, b, tf.constant(v["targets"]), tf.constant(v["weights"]), precision)
    return float(loss), [np.array(tf.convert_to_tensor(g)) for g in tape.gradient(loss, [h, e, b])]


def gradients_by_hand(v: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Gradients of the weighted sum, in float64: (softmax - one-hot) x weight, through the two factors."""
    h, e = v["hidden"].astype(np.float64), v["embeddings"].astype(np.float64)
    logits = h @ e.T + v["bias"]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    d = exponentials / exponentials.sum(axis=1, keepdims=True)
    d[np.arange(ROWS), v["targets"]] -= 1.0
    d *= v["weights"][:, None]
    return [d @ e, d.T @ h, d.sum(axis=0)]


@pytest.mark.parametrize("chunk", [1, 4, 11, 64])
def test_loss_is_the_weighted_sum(values: dict[str, np.ndarray], chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "chunk_rows", lambda *_: chunk)
    tensors = {name: tf.constant(value) for name, value in values.items()}
    assert float(tied_cross_entropy(**tensors)) == pytest.approx((by_hand(values) * values["weights"]).sum(), rel=1e-5)


@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_gradients_of_the_chunked_loss_equal_the_plain_ones(
    values: dict[str, np.ndarray], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softmax, "chunk_rows", lambda *_: chunk)
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
    monkeypatch.setattr(softmax, "chunk_rows", lambda *_: chunk)
    found = tied_nll(*(tf.constant(values[name]) for name in ("hidden", "embeddings", "bias", "targets")))
    np.testing.assert_allclose(found, by_hand(values), rtol=1e-5)


@pytest.mark.parametrize("shift", [-400.0, -90.0, 0.0, 85.0, 400.0])
def test_logits_beyond_the_range_of_exponentials_lose_nothing(values: dict[str, np.ndarray], shift: float) -> None:
    """exp(88) is the end of float32: there the rows' maxima are taken off first, below -87 as well."""
    shifted = values | {"bias": values["bias"] + np.float32(shift)}
    loss, gradients = loss_and_gradients(shifted, "float32")
    assert loss == pytest.approx((by_hand(shifted) * values["weights"]).sum(), rel=1e-4)
    for found, expected in zip(gradients, gradients_by_hand(shifted), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_one_wide_row_among_tame_ones_is_enough(values: dict[str, np.ndarray]) -> None:
    hidden = values["hidden"].copy()
    hidden[3] *= 200.0
    wide = values | {"hidden": hidden, "weights": np.ones(ROWS, np.float32)}
    loss, gradients = loss_and_gradients(wide, "float32")
    assert loss == pytest.approx(by_hand(wide).sum(), rel=1e-5)
    for found, expected in zip(gradients, gradients_by_hand(wide), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_bfloat16_products_agree_within_their_digits(values: dict[str, np.ndarray]) -> None:
    """8 bits of mantissa: each product is off by up to 1 in 256."""
    loss, gradients = loss_and_gradients(values, "bfloat16")
    assert loss == pytest.approx((by_hand(values) * values["weights"]).sum(), rel=0.01)
    for found, expected in zip(gradients, gradients_by_hand(values), strict=True):
        np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_chunks_of_logits_stay_small() -> None:
    for vocabulary in (10, 10_000, 250_000):
        assert softmax.chunk_rows(vocabulary, "float32") * vocabulary * 4 <= max(256 * vocabulary * 4, 48_000_000)
    assert softmax.chunk_rows(10_000, "bfloat16") > softmax.chunk_rows(10_000, "float32")


@pytest.mark.parametrize("bias", [-70.0, 70.0, 86.0])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_sum_near_the_end_of_float32_does_not_lose_the_gradient(
    values: dict[str, np.ndarray], bias: float, precision: Precision
) -> None:
    """9 exp(86) = 2e38 is still a number, but its inverse is flushed to zero and its products overflow."""
    near = values | {
        "hidden": values["hidden"] * np.float32(1e-3),
        "embeddings": values["embeddings"] * np.float32(30.0),
        "bias": np.full(VOCABULARY, bias, np.float32),
    }
    _, gradients = loss_and_gradients(near, precision)
    for found, expected in zip(gradients, gradients_by_hand(near), strict=True):
        tolerance = 1e-5 if precision == "float32" else 0.02
        np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())

"""Linear maps of frozen weights: they begin at the source, stay within their kind, and leave plain weights."""

from typing import Literal, get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnnlm.model.checkpoint import get_weights
from rnnlm.model.target_model import TargetModel
from rnnlm.settings import ClassifierTraining, Maps, Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training.maps import LinearMaps
from rnnlm.training.target_model import predict, train_target_model

Kind = Literal["multiplicative", "additive", "diagonal", "full"]
KINDS = get_args(Kind)
WORDS, WIDTH, UNITS, RANK = 30, 6, 5, 2


def weights() -> list[keras.Variable]:
    """Return an embedding, a kernel and a bias of random numbers."""
    shapes = (WORDS, WIDTH), (WIDTH, 4 * UNITS), (4 * UNITS,)
    generator = np.random.default_rng(0)
    return [keras.Variable(generator.normal(size=shape).astype(np.float32)) for shape in shapes]


def maps(kind: Kind, of: list[keras.Variable]) -> LinearMaps:
    made = LinearMaps(of, of[0], Maps(kind=kind, rank=RANK))
    made.restart(seed=3)
    return made


def shake(made: LinearMaps) -> None:
    """Set all parts of the maps to random values, and the weights to what they make."""
    generator = np.random.default_rng(1)
    for part in made.parameters:
        part.assign(generator.normal(size=part.shape).astype(np.float32))
    made.apply()


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_that_is_not_trained_yet_gives_the_source(kind: Kind) -> None:
    of = weights()
    source = [weight.numpy() for weight in of]
    made = maps(kind, of)
    made.apply()
    for weight, before in zip(of, source, strict=True):
        np.testing.assert_array_equal(weight.numpy(), before)
    assert any(np.abs(part.numpy()).max() == 0.0 for part in made.parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_stay_what_their_kind_of_map_can_reach(kind: Kind) -> None:
    of = weights()
    source = [weight.numpy().astype(np.float64) for weight in of]
    made = maps(kind, of)
    shake(made)
    change = [weight.numpy() - before for weight, before in zip(of, source, strict=True)]
    parts = [part.numpy().astype(np.float64) for part in made.parameters]
    np.testing.assert_allclose(change[2], source[2] * parts[-1], rtol=1e-4, atol=1e-5)
    for one, before in zip(change[:2], source[:2], strict=True):
        if kind in ("multiplicative", "additive"):
            assert np.linalg.matrix_rank(one, tol=1e-3) == RANK
        if kind == "diagonal":
            np.testing.assert_allclose(one / before, (one / before)[:1].repeat(len(one), 0), rtol=1e-2)
    if kind == "full":
        np.testing.assert_allclose(change[0], source[0] @ parts[0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(change[1], parts[1] @ source[1], rtol=1e-3, atol=1e-4)
    if kind == "multiplicative":
        np.testing.assert_allclose(change[0], source[0] @ parts[1] @ parts[0], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(change[1], parts[2] @ parts[3] @ source[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_the_maps_is_that_of_finite_differences(kind: Kind) -> None:
    of = weights()
    made = maps(kind, of)
    shake(made)
    towards = [np.random.default_rng(n).normal(size=weight.shape).astype(np.float32) for n, weight in enumerate(of)]

    def loss() -> float:
        mapped = made.mapped()
        return float(sum((m.numpy().astype(np.float64) * t).sum() for m, t in zip(mapped, towards, strict=True)))

    gradients = made.gradients([tf.constant(t) for t in towards])
    for part, gradient in zip(made.parameters, gradients, strict=True):
        value, place = part.numpy(), tuple(size // 2 for size in part.shape)
        step = np.zeros_like(value)
        step[place] = 0.05
        part.assign(value + step)
        above = loss()
        part.assign(value - step)
        below = loss()
        part.assign(value)
        # The loss is linear in each part, so the difference is exact but for rounding.
        assert gradient.numpy()[place] == pytest.approx((above - below) / 0.1, rel=1e-2, abs=1e-2)


def labelled_documents() -> Text:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 96).astype(np.int16)
    ids = generator.integers(4, 20, (96, 7))
    ids[np.arange(96), generator.integers(0, 7, 96)] = 20 + labels  # one token tells the class
    zeros = np.zeros(96, np.int64)
    return Text(
        Vocabulary(22, eos=3, unk=1, bos=2),
        ids.astype(np.uint16).ravel(),
        np.arange(97) * 7,
        labels,
        zeros,
        zeros,
        zeros,
        np.array(["d"] * 96, object),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_trained_by_maps_keeps_within_them_and_learns(kind: Kind) -> None:
    documents = labelled_documents()
    settings = Model(embedding=8, hidden=8, layers=2)
    training = ClassifierTraining(
        epochs=15, batch_size=16, evaluations=3, dropout=0.0, precision="float32", maps=Maps(kind=kind, rank=RANK)
    )
    model = TargetModel(settings, training, vocabulary_size=22, classes=2, seed=5)
    source = get_weights(model)
    train_target_model(model, documents, documents, 0.05, trainable="maps", seed=1)
    trained = get_weights(model)
    accuracy = (predict(model, documents).argmax(axis=1) == documents.labels).mean()
    assert accuracy > 0.9
    kernel, before = trained["lstm_0/kernel"], source["lstm_0/kernel"]
    assert np.abs(kernel - before).max() > 1e-3
    if kind in ("multiplicative", "additive"):
        assert np.linalg.matrix_rank(kernel - before, tol=1e-4) <= RANK
    again = TargetModel(settings, training, vocabulary_size=22, classes=2, seed=5)
    train_target_model(again, documents, documents, 0.05, trainable="maps", seed=1)
    for name, weight in get_weights(again).items():
        np.testing.assert_array_equal(weight, trained[name], err_msg=name)


def test_kernels_alone_may_be_mapped_and_the_rest_trained_beside_them() -> None:
    documents = labelled_documents()
    training = ClassifierTraining(batch_size=16, precision="float32", maps=Maps(rank=RANK, of="kernels"))
    model = TargetModel(Model(embedding=8, hidden=8, layers=2), training, vocabulary_size=22, classes=2, seed=5)
    source = get_weights(model)
    train_target_model(model, documents, documents, 0.05, trainable="maps", seed=1)
    change = {name: value - source[name] for name, value in get_weights(model).items()}
    kernels = [name for name in change if name.endswith("kernel") and not name.startswith("head")]
    assert len(kernels) == 4
    for name in kernels:
        assert np.linalg.matrix_rank(change[name], tol=1e-4) <= RANK, name
    # No map of the source's vectors gives this one: they are trained as they are.
    assert np.linalg.matrix_rank(change["embedding/embeddings"], tol=1e-4) > RANK
    assert all(np.abs(change[name]).max() > 0.0 for name in change if name.endswith("bias"))

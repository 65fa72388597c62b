"""Runs with different seeds share no random number: no initial weight, mask, order or subset."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.model.checkpoint import get_weights
from rnnlm.model.dropout import locked_dropout
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.seeds import derived, masks, stream
from rnnlm.settings import ClassifierTraining, Dropout, LanguageModelTraining, Maps, Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training.maps import LinearMaps
from rnnlm.training.plan import Plan
from rnnlm.transfer.subsets import label_subset

SEEDS = range(1, 21)
WIDTH = 6


def blocks(weights: dict[str, np.ndarray], gates: int) -> Iterator[tuple[str, np.ndarray]]:
    """Cut the weights into what is drawn at once: a kernel of several gates into one block a gate."""
    for name, weight in weights.items():
        for n, block in enumerate(
            np.split(weight, gates, axis=1) if "kernel" in name and "head" not in name else [weight]
        ):
            yield f"{name} {n}", block


def numbered_documents() -> Text:
    """Return documents no two of which have a token in common."""
    lengths = np.full(200, 10)
    return Text(
        vocabulary=Vocabulary(2_000, eos=3, unk=1, bos=0),
        ids=np.arange(2_000).astype(np.uint16),
        offsets=np.concatenate(([0], np.cumsum(lengths))),
        labels=np.full(200, -1, np.int16),
        n_characters=lengths,
        n_bytes=lengths,
        n_words=lengths,
        document_ids=np.array([str(n) for n in range(200)], object),
    )


def random_numbers(seed: int, cell: str) -> dict[str, bytes]:
    """Return all that a seed decides, by name."""
    gates = 4 if cell == "lstm" else 3
    settings = Model(cell=cell, embedding=WIDTH, hidden=WIDTH, layers=3, dropout=Dropout())
    training = ClassifierTraining(epochs=1)
    found = {}
    for kind, model in (
        ("language model", LanguageModel(settings, 9, seed)),
        ("classifier", TargetModel(settings, training, 9, 3, seed)),
    ):
        for name, block in blocks(get_weights(model), gates):
            # A bias and the statistics of the normalisation are the same for all.
            if np.ptp(block) > 0.0 and "bias" not in name:
                found[f"{kind} {name}"] = block.tobytes()
    plan = Plan.of(2_000, LanguageModelTraining(epochs=2, vary_window=True, batch_size=4, window=10), seed)
    found["windows"] = str([phase.lengths for phase in plan.phases]).encode()
    for step in plan.read(plan.phases[0], numbered_documents(), 0):
        found[f"text of {step.where}"] = np.array(step.windows[0].tokens).tobytes()
    found["subset"] = label_subset(np.zeros(60, np.int16), 30, seed).tobytes()
    for n in range(3):
        for what, of in (("mask", seed), ("mask beside", derived(seed, "beside"))):
            found[f"{what} {n}"] = np.array(
                locked_dropout(tf.ones((1, 4, 64)), 0.5, tf.constant(masks(of, n)), 0)
            ).tobytes()
    return found


@pytest.mark.parametrize("cell", ["lstm", "gru", "qrnn"])
def test_twenty_consecutive_seeds_share_nothing(cell: str) -> None:
    of_seeds = {seed: random_numbers(seed, cell) for seed in SEEDS}
    assert len(of_seeds[1]) > 30
    for one, other in itertools.combinations(SEEDS, 2):
        # Anything of one seed against anything of the other, whatever it is for.
        shared = set(of_seeds[one].values()) & set(of_seeds[other].values())
        names = [name for name, value in of_seeds[one].items() if value in shared]
        assert not names, f"seeds {one} and {other} share {names}"


@pytest.mark.parametrize("cell", ["lstm", "gru", "qrnn"])
def test_blocks_of_one_model_are_all_different(cell: str) -> None:
    weights = {n: v for n, v in random_numbers(1, cell).items() if n.startswith("language model")}
    assert len(set(weights.values())) == len(weights)


def test_linear_maps_of_different_seeds_share_no_factor() -> None:
    model = LanguageModel(Model(embedding=WIDTH, hidden=WIDTH), 9)
    embedding = model.encoder.embedding.embeddings
    maps = LinearMaps(model.encoder.trainable_variables, embedding, Maps(rank=2))
    drawn: list[bytes] = []
    for seed in SEEDS:
        maps.restart(seed)
        drawn += [np.array(part).tobytes() for part in maps.parameters if np.ptp(np.array(part)) > 0.0]
    assert len(set(drawn)) == len(drawn) >= len(SEEDS)


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(0, 1_000))
def test_streams_depend_on_seed_and_purpose_and_on_nothing_else(one: int, other: int, epoch: int) -> None:
    assert np.array_equal(stream(one, "order", epoch).random(4), stream(one, "order", epoch).random(4))
    purposes: list[tuple[str | int, ...]] = [("order", epoch), ("order", epoch + 1), ("labels",), ()]
    different = [(seed, purpose) for seed in {one, other} for purpose in purposes]
    assert len({tuple(stream(seed, *purpose).random(4)) for seed, purpose in different}) == len(different)
    assert 0 <= derived(one, "layer", epoch) < 2**31


def test_a_purpose_is_more_than_its_letters() -> None:
    # NumPy's own sequences of entropy take [1] and [1, 0] for the same.
    assert len({derived(1), derived(1, 0), derived(1, "0"), derived(1, "a", "b"), derived(1, "ab")}) == 5

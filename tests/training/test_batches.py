import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.tokens import Text, Vocabulary
from rnnlm.training.batches import batch_count, pad, row_length, shuffled_batches, sorted_batches, windows
from rnnlm.training.progress import evaluation_steps
from rnnlm.training.schedule import one_cycle, window_lengths

BOS, EOS = 2, 3
VOCABULARY = Vocabulary(10, EOS, unk=1, bos=BOS)


def encoded(texts: list[list[int]], labels: list[int] | None = None) -> Text:
    lengths = [len(text) for text in texts]
    zeros = np.zeros(len(texts), np.int64)
    return Text(
        vocabulary=VOCABULARY,
        ids=np.array([token for text in texts for token in text], np.uint16),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        labels=np.array(labels or [0] * len(texts), np.int16),
        n_characters=zeros,
        n_bytes=zeros,
        n_words=zeros,
        document_ids=np.array([str(n) for n in range(len(texts))], object),
    )


texts = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=40), min_size=1, max_size=9)


@given(texts=texts, batch=st.integers(1, 7), window=st.integers(2, 9), vary=st.booleans(), seed=st.integers(0, 9))
def test_each_target_follows_its_token_and_is_given_once(
    texts: list[list[int]], batch: int, window: int, vary: bool, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(texts))
    stream = np.array([token for n in order for token in texts[n]])
    length = row_length(len(stream), batch)
    if length < 1:
        return
    lengths = window_lengths(length, window, vary, generator)
    running = dataclasses.replace(encoded(texts), vocabulary=dataclasses.replace(VOCABULARY, bos=None))
    found = list(windows(running, order, batch, lengths))
    assert [w.tokens.shape for w in found] == [(steps, batch) for steps in lengths]
    tokens, targets, weights = (
        np.concatenate([getattr(w, name) for w in found]).T for name in ("tokens", "targets", "weights")
    )
    counted = weights[:, :length]
    assert counted.all()
    assert not weights[:, length:].any()
    np.testing.assert_array_equal(tokens[:, :length].reshape(-1), stream[: batch * length])
    np.testing.assert_array_equal(targets[:, :length].reshape(-1), stream[1 : batch * length + 1])


def test_the_state_is_reset_where_a_document_begins_and_bos_is_no_target() -> None:
    documents = encoded([[BOS, 8, 9, EOS], [BOS, 7, EOS], [BOS]])
    (window,) = windows(documents, np.array([1, 0, 2]), 1, np.array([7]))
    np.testing.assert_array_equal(window.keep[:, 0, 0], [0, 1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(window.weights[:, 0], [1, 1, 0, 1, 1, 1, 0])


def test_a_batch_is_padded_behind_and_reads_the_end_of_long_documents() -> None:
    batch = pad(encoded([[BOS, 5, EOS], [BOS, 6, 7, 8, EOS], [BOS, EOS]]), np.array([1, 0]), max_tokens=4)
    np.testing.assert_array_equal(batch.tokens.T[:, :4], [[6, 7, 8, EOS], [BOS, 5, EOS, 0]])
    assert batch.tokens.shape == (8, 2)  # padded to a multiple of 8
    assert not batch.tokens[4:].any()
    np.testing.assert_array_equal(batch.lengths, [4, 3])
    np.testing.assert_array_equal(batch.documents, [1, 0])


@given(lengths=st.lists(st.integers(2, 30), min_size=2, max_size=150), size=st.integers(2, 9), seed=st.integers(0, 9))
def test_an_epoch_has_every_document_once(lengths: list[int], size: int, seed: int) -> None:
    documents = encoded([[BOS] + [4] * (length - 2) + [EOS] for length in lengths])
    for batches in (
        list(shuffled_batches(documents, size, 64, np.random.default_rng(seed))),
        list(sorted_batches(documents, size * 16, 64)),
    ):
        seen = np.concatenate([batch.documents for batch in batches])
        np.testing.assert_array_equal(np.sort(seen), np.arange(len(lengths)))


@given(lengths=st.lists(st.integers(2, 90), min_size=1, max_size=80), tokens=st.integers(1, 400))
def test_batches_of_an_evaluation_are_as_large_as_they_may_be(lengths: list[int], tokens: int) -> None:
    documents = encoded([[BOS] + [4] * (length - 2) + [EOS] for length in lengths])
    batches = list(sorted_batches(documents, tokens, 64))
    for batch in batches:
        assert batch.tokens.size <= tokens or len(batch.documents) == 1
        assert batch.tokens.shape[0] - batch.lengths.max() < 8
    for batch, after in itertools.pairwise(batches):
        assert batch.lengths.max() <= after.lengths.min()
        joined = np.append(batch.documents, after.documents[0])
        assert pad(documents, joined, 64).tokens.size > tokens


@given(count=st.integers(2, 150), size=st.integers(2, 9))
def test_no_training_batch_has_a_single_document(count: int, size: int) -> None:
    documents = encoded([[BOS, EOS]] * count)
    batches = list(shuffled_batches(documents, size, 64, np.random.default_rng(0)))
    assert min(len(batch.documents) for batch in batches) > 1
    assert len(batches) == batch_count(count, size)


@given(steps=st.integers(1, 500), evaluations=st.integers(1, 20))
def test_evaluations_end_with_the_last_step(steps: int, evaluations: int) -> None:
    found = evaluation_steps(steps, evaluations)
    assert max(found) == steps
    assert min(found) >= 1
    assert len(found) == min(steps, evaluations)


def test_one_cycle_goes_up_and_down_again() -> None:
    rates = [one_cycle(step, 1_000, 0.01) for step in range(1_000)]
    top = int(np.argmax(rates))
    assert rates[top] == pytest.approx(0.01)
    assert top == 100
    assert rates[0] == pytest.approx(0.01 / 25)
    assert rates[-1] == pytest.approx(0.01 / 10_000, rel=0.1)
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()

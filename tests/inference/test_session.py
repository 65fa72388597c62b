from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.inference.session import WINDOW, Session
from rnnlm.inference.trained import Trained

Make = Callable[..., Trained]
KINDS = ["word", "bpe", "unigram", "character", "byte", "whitespace"]


def by_hand(model: Trained, ids: list[int]) -> np.ndarray:
    """Return log-probabilities after a whole prefix, by a softmax in float64 over the model's logits."""
    logits, _ = model.language_model(np.array(ids, np.int32)[:, None])
    last = np.asarray(logits, np.float64)[-1, 0]
    return np.asarray(last - np.log(np.exp(last - last.max()).sum()) - last.max())


def start_of(model: Trained) -> int:
    return model.tokenizer.eos if model.tokenizer.bos is None else model.tokenizer.bos


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_what_comes_next_is_the_softmax_after_the_whole_prefix(trained: Make, kind: str, cell: str) -> None:
    model = trained(kind, cell)
    session, ids = model.reader.start(), [start_of(model)]
    assert session.log_probabilities[0] == pytest.approx(by_hand(model, ids), abs=1e-5)
    for part in ["the film", "一部", "was 👍🏽"]:
        session = session.feed(part)
        own = model.tokenizer.encode([part])[0]
        ids += [i for i in own if i not in (model.tokenizer.bos, model.tokenizer.eos)]
        assert session.log_probabilities[0] == pytest.approx(by_hand(model, ids), abs=1e-5)
        assert np.exp(session.log_probabilities[0].astype(np.float64)).sum() == pytest.approx(1.0, abs=1e-5)


def test_an_adaptive_softmax_is_normalised_too(trained: Make, small_groups: None) -> None:
    model = trained("word", softmax="adaptive")
    assert model.language_model.is_adaptive
    session = model.reader.start().feed("the film was")
    ids = [start_of(model), *model.tokenizer.encode(["the film was"])[0][1:-1]]
    assert session.log_probabilities[0] == pytest.approx(by_hand(model, ids), abs=1e-5)


def test_a_long_text_is_read_in_windows(trained: Make) -> None:
    model = trained("byte")
    ids = [4 + n * 7 % 256 for n in range(2 * WINDOW + 5)]
    session = model.reader.empty().feed(ids)
    assert session.log_probabilities[0] == pytest.approx(by_hand(model, ids), abs=1e-4)


def test_a_session_can_be_gone_on_from_twice(trained: Make) -> None:
    model = trained("word")
    session = model.reader.start().feed("the film")
    before = session.log_probabilities.copy()
    one, other = session.feed("was"), session.feed("is")
    assert not np.allclose(one.log_probabilities, other.log_probabilities)
    assert (session.log_probabilities == before).all()
    assert session.feed("was").log_probabilities == pytest.approx(one.log_probabilities, abs=1e-6)
    assert session.feed("") is session


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(4, 40), st.floats(0, 1)), min_size=1, max_size=6))
def test_texts_side_by_side_are_as_each_by_itself(trained: Make, steps: list[tuple[int, float]]) -> None:
    model = trained("word")
    session, texts = model.reader.empty().feed([start_of(model)]), [[start_of(model)]]
    for token, share in steps:
        of = [*sorted({0, int(share * (len(texts) - 1))}), 0]
        tokens = [4 + (token + n) % 40 for n in range(len(of))]
        session = session.step(tokens, of)
        texts = [[*texts[row], token] for row, token in zip(of, tokens, strict=True)]
    for row, text in enumerate(texts):
        assert session.log_probabilities[row] == pytest.approx(by_hand(model, text), abs=1e-5)


def test_sessions_can_be_put_side_by_side(trained: Make) -> None:
    model = trained("word")
    one, other = model.reader.start().feed("the film"), model.reader.start().feed("was great fun")
    both = Session.side_by_side([one, other]).step([5, 6], [1, 0])
    assert both.log_probabilities[0] == pytest.approx(other.feed([5]).log_probabilities[0], abs=1e-5)
    assert both.log_probabilities[1] == pytest.approx(one.feed([6]).log_probabilities[0], abs=1e-5)


def test_what_comes_first_of_all_is_not_known(trained: Make) -> None:
    assert np.isnan(trained("word").reader.empty().log_probabilities).all()
    assert isinstance(trained("word").reader.empty(), Session)

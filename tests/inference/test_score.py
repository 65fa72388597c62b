import math
from collections.abc import Callable

import pytest

from rnnlm.errors import ConfigError
from rnnlm.inference.score import score
from rnnlm.inference.trained import Trained

Make = Callable[..., Trained]
KINDS = ["word", "bpe", "unigram", "character", "byte", "whitespace"]
TEXTS = ["the film was a delight", "一部很好的电影", "", "فيلم 😀", "\ud83d\x00"]


def by_session(model: Trained, text: str) -> tuple[float, int]:
    """Score a text token by token, with what a session says comes next."""
    ids = model.tokenizer.encode([text])[0]
    ids = ids if model.tokenizer.bos is None else ids[1:]
    session, nll = model.reader.start(), 0.0
    for token in ids:
        nll -= float(session.log_probabilities[0, token])
        session = session.feed([token])
    return nll, len(ids)


def check(model: Trained) -> None:
    for text, scored in zip(TEXTS, score(model, TEXTS), strict=True):
        cleaned = text.replace("\ud83d\x00", "\ufffd")
        nll, tokens = by_session(model, cleaned)
        assert scored.tokens == tokens
        assert scored.nll == pytest.approx(nll, rel=1e-4)
        assert scored.perplexity == pytest.approx(math.exp(nll / tokens), rel=1e-3)
        bits = nll / math.log(2) / len(cleaned) if cleaned else None
        assert scored.bits_per_character == (bits if bits is None else pytest.approx(bits, rel=1e-4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_text_costs_what_its_tokens_cost_one_by_one(trained: Make, kind: str, cell: str) -> None:
    check(trained(kind, cell))


def test_so_it_is_with_an_adaptive_softmax(trained: Make, small_groups: None) -> None:
    check(trained("word", softmax="adaptive"))


def test_the_state_is_carried_through_a_long_text(trained: Make) -> None:
    model, text = trained("byte"), "the film was a delight. " * 40
    nll, tokens = by_session(model, text.rstrip())
    (scored,) = score(model, [text])
    assert scored.tokens == tokens
    assert scored.nll == pytest.approx(nll, rel=1e-4)


def test_a_classifier_scores_nothing(classifier: Trained) -> None:
    with pytest.raises(ConfigError, match="classifier"):
        score(classifier, TEXTS)

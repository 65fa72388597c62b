from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.inference.characters import WHOLE, Characters
from rnnlm.inference.trained import Trained

Make = Callable[..., Trained]
KINDS = ["word", "bpe", "unigram", "character", "byte", "whitespace"]


def walk(characters: Characters, tokens: list[int]) -> bool:
    """Tell whether tokens may follow each other, and end with a whole character."""
    state = WHOLE
    for n, token in enumerate(tokens):
        if not characters.allowed(state, len(tokens) - n - 1)[token]:
            return False
        state = characters.after(state, token)
    return state == WHOLE


def test_every_character_can_be_written_and_no_two_bytes_that_are_none(trained: Make) -> None:
    characters = Characters(trained("byte").tokenizer)
    for pair in ([a, b] for a in range(256) for b in range(256)):
        try:
            text = bytes(pair).decode()
            wanted = not any((ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0 for c in text)
        except UnicodeDecodeError:
            wanted = False
        assert walk(characters, [4 + byte for byte in pair]) == wanted, pair


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=4))
def test_the_bytes_of_any_text_may_be_written(trained: Make, text: str) -> None:
    for kind in ("byte", "bpe", "unigram"):
        tokenizer = trained(kind).tokenizer
        ids = [i for i in tokenizer.encode([text])[0] if i not in tokenizer.special]
        assert walk(Characters(tokenizer), ids)


@given(st.lists(st.sampled_from([0x00, 0x41, 0x80, 0x9F, 0xA0, 0xBF, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF3, 0xF4, 0xF5])))
def test_what_may_be_written_is_text(trained: Make, text: list[int]) -> None:
    characters = Characters(trained("byte").tokenizer)
    if walk(characters, [4 + byte for byte in text]):
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in bytes(text).decode())
    else:
        with pytest.raises((UnicodeDecodeError, AssertionError)):  # noqa: PT012
            decoded = bytes(text).decode()
            assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in decoded)


@pytest.mark.parametrize("kind", ["bpe", "unigram", "word"])
@pytest.mark.parametrize("rest", [b" fil", b" ", b"t", "é".encode()[:1], b" nothing", b" the"])
def test_tokens_are_found_by_how_they_begin(trained: Make, kind: str, rest: bytes) -> None:
    characters = Characters(trained(kind).tokenizer)
    tokens = {i: token for i, token in enumerate(characters.written) if token is not None}
    completing = [i for i, token in tokens.items() if token.startswith(rest)]
    assert np.flatnonzero(characters.completing(rest)).tolist() == completing
    assert sorted(characters.inside(rest)) == [
        i for i, token in tokens.items() if rest.startswith(token) and token != rest
    ]
    assert not characters.allowed(WHOLE, 9, rest)[~characters.completing(rest)].any()


@pytest.mark.parametrize("kind", KINDS)
def test_no_special_token_but_the_end_may_come(trained: Make, kind: str) -> None:
    tokenizer = trained(kind).tokenizer
    allowed = Characters(tokenizer).allowed(WHOLE, 9)
    assert [i for i in sorted(tokenizer.special) if allowed[i]] == [tokenizer.eos]


def test_the_end_waits_for_the_whole_character(trained: Make) -> None:
    tokenizer = trained("byte").tokenizer
    characters = Characters(tokenizer)
    half = characters.after(WHOLE, 4 + 0xC3)
    assert not characters.allowed(half, 9)[tokenizer.eos]
    assert not characters.allowed(WHOLE, 0)[4 + 0xC3]
    assert np.flatnonzero(characters.allowed(half, 0)).tolist() == [4 + byte for byte in range(0x80, 0xC0)]

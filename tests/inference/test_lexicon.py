from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import DataError
from rnnlm.inference.lexicon import Lexicon, edit_distances
from rnnlm.inference.texts import words_of

short = st.text("abcé", min_size=1, max_size=6)


def points(word: str) -> np.ndarray:
    return np.array([ord(character) for character in word], np.uint32)


def one_edit(word: str, alphabet: str = "abcé") -> set[str]:
    """Return all that one edit makes of a word."""
    parts = [(word[:n], word[n:]) for n in range(len(word) + 1)]
    return (
        {a + b[1:] for a, b in parts if b}
        | {a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1}
        | {a + c + b[1:] for a, b in parts if b for c in alphabet}
        | {a + c + b for a, b in parts for c in alphabet}
    )


@given(short, st.lists(short, min_size=1, max_size=20), st.sampled_from([1, 2]))
def test_distances_are_the_fewest_edits(word: str, others: list[str], most: int) -> None:
    once = one_edit(word)
    twice = {further for edited in once for further in one_edit(edited)}
    for other in others:
        wanted = 0 if other == word else 1 if other in once else 2 if other in twice else 3
        assert edit_distances(points(word), points(other)[None], most)[0] == min(wanted, most + 1)


@pytest.mark.parametrize(
    ("word", "other", "distance"),
    [("ca", "abc", 2), ("abc", "ca", 2), ("wsa", "was", 1), ("film", "flim", 1), ("a", "a", 0), ("abcd", "badc", 2)],
)
def test_neighbours_that_changed_places_are_one_edit(word: str, other: str, distance: int) -> None:
    assert edit_distances(points(word), points(other)[None], 2)[0] == distance


@given(st.lists(short, max_size=30), short, st.sampled_from([1, 2]))
def test_near_words_are_all_those_within_the_distance(words: list[str], word: str, distance: int) -> None:
    lexicon, distinct = Lexicon.of(words), list(dict.fromkeys(words))
    found = lexicon.near(word, distance)
    within = {other: int(edit_distances(points(word), points(other)[None], 2)[0]) for other in distinct}
    wanted = {
        other: edits for other, edits in within.items() if edits <= distance and edits < max(len(word), len(other))
    }
    assert {near.word: near.distance for near in found} == wanted
    assert found == sorted(found, key=lambda near: (near.distance, distinct.index(near.word)))


def test_case_and_composition_do_not_count() -> None:
    lexicon = Lexicon.of(["Café", "café", "Uhr", "12", ",", ""])
    assert list(lexicon.ranks) == ["café", "uhr"]
    assert [near.word for near in lexicon.near("CAFE\u0301", 1)] == ["café"]
    assert Lexicon.of([]).near("word", 2) == []


def test_words_are_told_from_numbers_and_signs() -> None:
    text = "It's 3,000 déjà-vu: 电影!"
    assert [word for word, _ in words_of(text)] == ["It's", "déjà", "vu", "电", "影"]
    assert all(text[start:end] == word for word, (start, end) in words_of(text))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("the\nfilm\n", ["the", "film"]),
        ("film\t3\nthe 20\n", ["the", "film"]),
        ("A film, the film.\nThe end: the 10 films\n", ["the", "film", "a", "end", "films"]),
    ],
)
def test_a_list_or_a_text_is_read(tmp_path: Path, content: str, words: list[str]) -> None:
    (tmp_path / "words").write_text(content, encoding="utf-8")
    assert set(Lexicon.read(tmp_path / "words").ranks) == set(words)
    assert next(iter(Lexicon.read(tmp_path / "words").ranks)) == words[0]


@pytest.mark.parametrize(("content", "problem"), [(b"12 ,\n", "no word"), (b"wort\xe4\n", "UTF-8"), (b"", "no word")])
def test_a_file_without_words_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "words").write_bytes(content)
    with pytest.raises(DataError, match=f"words.*: .*{problem}"):
        Lexicon.read(tmp_path / "words")

"""Passages that test documents share with texts that a model has read."""

import string
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.corpus import find_passages, passages_warning
from rnnlm.corpus.passages import LENGTH, sharing_passages, words_of
from rnnlm.refs import DocumentsRef

OfLines = Callable[..., DocumentsRef]
QUOTED = "It was the best of times, it was the worst of times, it was the age of wisdom."
CHINESE = "这部电影的情节非常感人，演员的表演也十分精彩，值得一看。"


def found(of_lines: OfLines, test: list[str], read: list[str]) -> list[bool]:
    """Return which of these test documents share a passage with this text."""
    target = of_lines("target", train=["a first one"], valid=["a second one"], test=test)
    source = of_lines("source", train=read, valid=["nothing"], test=[*test, "of its own test split"])
    (ids,) = sharing_passages(target, [(source, ["train", "valid"])])
    return [any(one.endswith(f" {n}") for one in ids) for n in range(1, len(test) + 1)]


@pytest.mark.parametrize(
    ("test", "shares"),
    [
        (QUOTED, True),
        ("He began: " + QUOTED.upper().replace(",", " –") + " And so on.", True),
        ("It was the best of times, it was the worst of times, it", True),  # thirteen words
        ("It was the best of times, it was the worst of times", False),
        ("It was the best of times, it was not the worst of times, it was the age", False),
    ],
)
def test_thirteen_words_in_a_row_are_a_passage(of_lines: OfLines, test: str, shares: bool) -> None:
    assert found(of_lines, [test], ["Something else.", f"Dickens wrote: {QUOTED}", "The end."]) == [shares]


def test_a_passage_does_not_go_on_in_the_next_document(of_lines: OfLines) -> None:
    words = QUOTED.split()
    assert found(of_lines, [QUOTED], [" ".join(words[:9]), " ".join(words[9:])]) == [False]
    assert found(of_lines, [" ".join(words[:9]), " ".join(words[9:])], [QUOTED]) == [False, False]


def test_each_letter_of_a_script_without_spaces_is_a_word(of_lines: OfLines) -> None:
    assert found(of_lines, [CHINESE[:16], CHINESE[:12], "昨天我看了一部电影。"], ["他说：" + CHINESE]) == [
        True,
        False,
        False,
    ]


def test_the_documents_and_what_they_share_a_passage_with_are_kept(of_lines: OfLines, tmp_path: Path) -> None:
    target = of_lines("target", train=[CHINESE], valid=["a second one"], test=[QUOTED, f"他说：{CHINESE}", "Alone."])
    source = of_lines("source", train=[f"Dickens wrote: {QUOTED}"], valid=["nothing"], test=["Alone, too."])
    passages = find_passages(source, target, tmp_path / "passages")
    assert (passages.source, passages.target, passages.test) == (1, 1, 3)
    rows = pq.read_table(passages.file).to_pylist()
    assert [(row["text"], row["id"].rpartition(" ")[2]) for row in rows] == [("source", "1"), ("target", "2")]
    assert passages_warning(passages).startswith("1 of the target's 3 test documents shares 13 words in a row with")
    assert passages_warning(passages.model_copy(update={"test": 100})) == ""


@given(st.lists(st.sampled_from("abcde"), min_size=0, max_size=60), st.lists(st.sampled_from("abcde"), max_size=60))
def test_it_is_what_a_comparison_of_all_passages_finds(one: list[str], other: list[str]) -> None:
    import numpy as np

    from rnnlm.corpus.passages import _passages

    def slow(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[n : n + LENGTH]) for n in range(len(words) - LENGTH + 1)}

    mine, of = _passages([" ".join(one), "", " ".join(other)])
    theirs = set(mine[of == 2].tolist())
    assert len(np.unique(mine[of == 0])) == len(slow(one))
    assert bool(set(mine[of == 0].tolist()) & theirs) == bool(slow(one) & slow(other))
    assert not (of == 1).any()


def test_words_are_letters_and_digits_in_small_letters() -> None:
    assert words_of("Don't STOP—2,000 times, Straße!") == ["don", "t", "stop", "2", "000", "times", "strasse"]
    assert words_of(string.punctuation.replace("_", "")) == []
    assert words_of("看《Hamlet》 12岁") == ["看", "hamlet", "12", "岁"]
    assert words_of("हिन्दी में, cafe\u0301!") == ["हिन्दी", "में", "cafe\u0301"]

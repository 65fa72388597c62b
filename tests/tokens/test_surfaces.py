"""What a token stands for in text, so that tokens of different kinds can be compared."""

from pathlib import Path

import pytest

from rnnlm.settings import Tokenizer
from rnnlm.tokens import TextTokenizer
from rnnlm.tokens.kinds import train

TEXTS = [["the film is good , the end is not .", "déjà vu the film", "电影 很 好", "the end (again)"] * 20]


def trained(kind: str, folder: Path, size: int = 400) -> TextTokenizer:
    file = folder / f"{kind}.json"
    train(Tokenizer(kind=kind, vocabulary_size=size), iter(TEXTS)).save(str(file))
    return TextTokenizer.load(file)


@pytest.mark.parametrize("kind", ["word", "whitespace", "bpe"])
def test_a_word_is_the_same_in_every_kind(kind: str, tmp_path: Path) -> None:
    assert {" the", " film", " is"} <= set(trained(kind, tmp_path).surfaces)


def test_signs_and_scripts_without_spaces_have_none_before_them(tmp_path: Path) -> None:
    tokenizer = trained("word", tmp_path)
    of = dict(zip(tokenizer.tokens, tokenizer.surfaces, strict=True))
    assert [of[token] for token in (",", "(", "电", "déjà", "<unk>", "<bos>")] == [",", "(", "电", " déjà", None, None]


@pytest.mark.parametrize("kind", ["bpe", "unigram", "byte", "character", "word"])
def test_the_surfaces_of_a_text_together_are_the_text(kind: str, tmp_path: Path) -> None:
    tokenizer = trained(kind, tmp_path)
    (ids,) = tokenizer.encode(["the film is good"])
    assert "".join(tokenizer.surfaces[i] or "" for i in ids).strip() == "the film is good"


def test_single_bytes_stand_for_no_text(tmp_path: Path) -> None:
    for kind in ("byte", "bpe"):
        tokenizer = trained(kind, tmp_path)
        (ids,) = tokenizer.encode(["é"])
        if kind == "byte":
            assert [tokenizer.surfaces[i] for i in ids] == [None] * 4  # both bytes, and the ends
    assert None not in trained("character", tmp_path).surfaces[4:]


@pytest.mark.parametrize(("kind", "all_known"), [("bpe", True), ("unigram", True), ("byte", True), ("word", False)])
def test_a_tokenizer_tells_whether_any_text_is_unknown(kind: str, all_known: bool, tmp_path: Path) -> None:
    assert trained(kind, tmp_path).knows_all is all_known
    assert not trained("whitespace", tmp_path).knows_all
    assert not trained("character", tmp_path).knows_all

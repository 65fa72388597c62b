import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.corpus import clean
from rnnlm.corpus.clean import cleaner, label_in
from rnnlm.errors import ConfigError
from rnnlm.settings import Corpus, Replacement

NEWS = Corpus(files=["news.csv"])

# Text that is rich in what cleaning looks at.
TEXT = st.lists(
    st.one_of(st.text(), st.sampled_from(["<br", "<p", "/>", ">", "</p>", "\r", "\n", "\x00", "\u0338", "\ufeff"]))
)


def _corpus(**fields: object) -> Corpus:
    return Corpus.model_validate({"files": ["news.csv"]} | fields)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("cafe\u0301", "café"),
        ("a\x00b\x08c\x7fd", "abcd"),
        ("film\x97but\x0cnext\x85line", "film but next line"),
        ("a\tb\r\nc\rd", "a\tb\nc\nd"),
        ("\ufeffbegin", "begin"),
        (" \n text \u2028 \n", "text"),
        ("a<br />b", "a<br />b"),
        ("\x00 \n", ""),
    ],
)
def test_clean(raw: str, cleaned: str) -> None:
    assert cleaner(NEWS)(raw) == cleaned


@pytest.mark.parametrize("tag", ["<br>", "<br/>", "<br />", "<BR clear='all'>", "<p>", "</p>", "<p class='x'>"])
def test_html_breaks(tag: str) -> None:
    assert cleaner(_corpus(html_breaks=True))(f"a{tag}b<pre>") == "a\nb<pre>"


def test_replacements_are_made_in_order() -> None:
    replace = [Replacement(pattern=r"(\w)/[a-z]+", by=r"\1"), Replacement(pattern=" +", by="")]
    assert cleaner(_corpus(replace=replace))("新/a  年/t") == "新年"


@given(parts=TEXT, html_breaks=st.booleans())
def test_clean_text_stays_as_it_is(parts: list[str], html_breaks: bool) -> None:
    clean = cleaner(_corpus(html_breaks=html_breaks))
    once = clean("".join(parts))
    assert clean(once) == once


@given(parts=TEXT)
def test_clean_text_is_nfc_without_control_characters(parts: list[str]) -> None:
    cleaned = cleaner(NEWS)("".join(parts))
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not [
        character for character in cleaned if unicodedata.category(character) == "Cc" and character not in "\n\t"
    ]


@pytest.mark.parametrize("pattern", [r"(a|aa)+$", r"((a{1,9}){1,9}){1,9}$"])
def test_a_pattern_that_takes_too_long_is_named(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean, "PATIENCE", 0.2)
    slow = "a" * 90 + "b"
    with pytest.raises(ConfigError, match=r"replace: the pattern .* takes more than 0 seconds for one document"):
        cleaner(_corpus(replace=[{"pattern": pattern, "by": ""}]))(slow)
    with pytest.raises(ConfigError, match="label_pattern: the pattern"):
        label_in(f"({pattern})!", slow)
    assert label_in("(neg|pos)", "train/pos/1.txt") == "pos"
    assert label_in("(neg|pos)", "train/1.txt") is None
    # Python's own module would search for years; this one sees that it need not.
    assert cleaner(_corpus(replace=[{"pattern": r"(a+)+$", "by": ""}]))(slow) == slow

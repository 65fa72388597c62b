"""Words with tags, from files to documents."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.corpus import check_tags, entity_counts, ingest
from rnnlm.corpus.words import UNSEEN, joined, spans, split_words, words_in
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import DocumentsRef
from rnnlm.settings import Corpus


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)))
def test_each_word_is_where_its_span_says(words: list[str]) -> None:
    text = joined(words)
    assert [text[begin:end] for begin, end in spans(words)] == words


def test_words_are_joined_as_their_script_is_written() -> None:
    assert joined(["Ada", "lives", "in", "London", "."]) == "Ada lives in London ."
    assert joined(list("我在北京。")) == "我在北京。"
    assert joined(["我", "用", "Python", "写"]) == "我用 Python 写"
    assert joined(["他", "说", "“", "第", "3", "页", "”", "。"]) == "他说“第3页”。"
    assert joined(["a", "", "b"]) == "a b"
    assert joined(["서울", "에서"]) == "서울 에서"
    assert joined(["هو", "في", "لندن"]) == "هو في لندن"


def test_a_text_is_cut_into_words() -> None:
    said = "Don't e-mail @ada 3.5 of 1,000 times (https://x.org/a?b), U.S. 😀!"
    assert cut(said) == [
        "Don't", "e-mail", "@ada", "3.5", "of", "1,000", "times", "(", "https://x.org/a?b", ")", ",",
        "U.S", ".", "😀", "!",
    ]  # fmt: skip
    assert cut("我在Python里") == ["我", "在", "Python", "里"]


@pytest.mark.parametrize(
    "words",
    [
        ["हिन्दी", "भाषा", "में", "Ada"],
        ["مُحَمَّد", "في", "لندن"],
        ["שָׁלוֹם", "עולם"],
        ["தமிழ்"],
        ["👨‍👩‍👧", "❤️", "hi"],
        ["Zoë"],
    ],
)
def test_marks_and_joiners_stay_with_the_character_before_them(words: list[str]) -> None:
    assert cut(" ".join(words)) == words


def test_a_vowel_of_a_script_without_spaces_stays_with_its_letter() -> None:
    assert cut("ที่นี่") == ["ที่", "นี่"]


def cut(text: str) -> list[str]:
    return words_in(text, split_words(text))


def conll(folder: Path, text: str, name: str = "a.conll") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def rows_of(documents: DocumentsRef) -> list[tuple[str, list[str], str]]:
    table = pq.read_table(documents.file)
    return sorted(
        (row["text"], [row["text"][begin:end] for begin, end in row["words"]], row["label"])
        for row in table.to_pylist()
    )


def test_empty_columns_comments_and_line_ends_of_other_systems(tmp_path: Path) -> None:
    text = "# sent_id = 1\r\n# text = Ada sings\r\nAda\t\tB-PER\tx\r\nsings\tVBZ\tO\tx\r\n\t\r\n#\tX\tO\tx"
    corpus = Corpus(files=[str(conll(tmp_path, text))], label="3", valid_share=0.0, test_share=0.0)
    documents = ingest(corpus, tmp_path / "out", downloads=tmp_path, label_kind="tags")
    assert rows_of(documents) == [("#", ["#"], "O"), ("Ada sings", ["Ada", "sings"], "B-PER O")]
    broken = Corpus(files=[str(conll(tmp_path, "\tO\n"))], label="2")
    with pytest.raises(DataError, match=r"line 1: the word is empty"):
        ingest(broken, tmp_path / "broken", downloads=tmp_path, label_kind="tags")


def test_an_empty_word_keeps_its_place(tmp_path: Path) -> None:
    row = {"words": ["Ada", "", "sings"], "ner": ["B-PER", "O", "O"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    lists = {"files": [str(tmp_path / "a.jsonl")], "text": "words", "valid_share": 0.0, "test_share": 0.0}
    documents = ingest(Corpus(**lists, label="ner"), tmp_path / "out", downloads=tmp_path, label_kind="tags")
    assert rows_of(documents) == [(f"Ada {UNSEEN} sings", ["Ada", UNSEEN, "sings"], "B-PER O O")]
    plain = ingest(Corpus(**lists), tmp_path / "plain", downloads=tmp_path)
    assert pq.read_table(plain.file)["text"].to_pylist() == ["Ada sings"]


TWO = "EU NNP B-ORG\nrejects VBZ O\n\nAda\u200b NNP I-PER\nLee NNP I-PER\n\u200b X O\n"


def test_conll_columns_and_lists_are_the_same_documents(tmp_path: Path) -> None:
    shares = {"valid_share": 0.0, "test_share": 0.0}
    columns = Corpus(files=[str(conll(tmp_path, TWO))], label="-1", **shares)
    rows = [
        {"words": ["EU", "rejects"], "ner": ["B-ORG", "O"]},
        {"words": ["Ada\u200b", "Lee", "\u200b"], "ner": ["I-PER", "I-PER", "O"]},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    found = [ingest(columns, tmp_path / "conll", downloads=tmp_path, label_kind="tags")]
    for name in ("jsonl", "parquet"):
        lists = Corpus(files=[str(tmp_path / f"a.{name}")], text="words", label="ner", **shares)
        found.append(ingest(lists, tmp_path / name, downloads=tmp_path, label_kind="tags"))
    assert rows_of(found[0]) == rows_of(found[1]) == rows_of(found[2])
    assert [tags for _, _, tags in rows_of(found[0])] == ["B-PER I-PER O", "B-ORG O"]
    assert found[0].labels == ["O", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    assert found[0].labelled == {"train": 2, "valid": 0, "test": 0}
    # A word that nothing visible is left of keeps its place, so that words and tags stay beside each other.
    assert [len(words) for _, words, _ in rows_of(found[0])] == [3, 2]
    assert UNSEEN == "\ufffd"


def test_a_column_of_words_is_text_for_those_who_need_no_words(tmp_path: Path) -> None:
    path = conll(tmp_path, TWO)
    documents = ingest(
        Corpus(files=[str(path)], valid_share=0.0, test_share=0.0), tmp_path / "plain", downloads=tmp_path
    )
    table = pq.read_table(documents.file)
    assert "words" not in table.column_names
    assert sorted(table["text"].to_pylist())[1] == "EU rejects"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"words": ["a", "b"], "ner": ["O"]}, "the numbers of words and tags differ: 2 and 1"),
        ({"words": ["a", "b"], "ner": []}, "the numbers of words and tags differ: 2 and 0"),
        ({"words": ["a", "b"], "ner": None}, "Write a tag for each word"),
        ({"words": ["a"], "ner": "O"}, "is 'O', not a list of tags"),
        ({"words": "a b", "ner": ["O", "O"]}, "the numbers of words and tags differ: 0 and 2"),
        ({"words": ["a"], "ner": ["NOUN"]}, "the tag 'NOUN' marks no entity"),
        ({"words": ["a"], "ner": [3]}, "item 1 of the list in 'ner' is no string"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(row: dict[str, object], problem: str, tmp_path: Path) -> None:
    good = {"words": ["a", "Rome"], "ner": ["O", "B-LOC"]}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(row)}", encoding="utf-8")
    corpus = Corpus(files=[str(tmp_path / "a.jsonl")], text="words", label="ner", valid_share=0.0, test_share=0.0)
    with pytest.raises(DataError, match=problem) as caught:
        ingest(corpus, tmp_path / "out", downloads=tmp_path, label_kind="tags")
    assert str(caught.value).startswith(f"{tmp_path / 'a.jsonl'}, line 2")


def test_tags_are_only_for_tagging(tmp_path: Path) -> None:
    path = conll(tmp_path, TWO)
    with pytest.raises(DataError, match=r"is a list of tags, not one label\. Set target\.task to tagging"):
        ingest(Corpus(files=[str(path)], label="3"), tmp_path / "out", downloads=tmp_path)
    with pytest.raises(ConfigError, match="labels"):
        ingest(
            Corpus(files=[str(path)], label="3", labels=["O"]), tmp_path / "x", downloads=tmp_path, label_kind="tags"
        )
    for settings in ({"label": "ner"}, {"label": "3", "group": "2"}, {"text": "0", "label": "3"}):
        with pytest.raises(ConfigError, match=r"a\.conll"):
            ingest(Corpus(files=[str(path)], **settings), tmp_path / "y", downloads=tmp_path, label_kind="tags")


def test_entities_are_counted_and_missing_types_warned_of(tmp_path: Path) -> None:
    files = {
        "train": conll(tmp_path, "Rome B-LOC\nEU O\n", "train.conll"),
        "valid": conll(tmp_path, "Oslo B-LOC\n", "valid.conll"),
        "test": conll(tmp_path, "Ada B-PER\nLee I-PER\n", "test.conll"),
    }
    corpus = Corpus(**{split: [str(file)] for split, file in files.items()}, label="2")
    documents = ingest(corpus, tmp_path / "out", downloads=tmp_path, label_kind="tags")
    entities = entity_counts(documents)
    assert {split: dict(counts) for split, counts in entities.items()} == {
        "train": {"LOC": 1}, "valid": {"LOC": 1}, "test": {"PER": 1},
    }  # fmt: skip
    (warning,) = check_tags(entities, documents.labelled, corpus, "target")
    assert "test split has types of entity" in warning
    assert "'PER' (1)" in warning
    with pytest.raises(DataError, match="5 of the 5 entities of the valid split are of types"):
        check_tags({**entities, "valid": {"Loc": 5}}, documents.labelled, corpus, "target")
    with pytest.raises(DataError, match="none of the 1 valid documents with tags has an entity"):
        check_tags({**entities, "valid": {}}, documents.labelled, corpus, "target")

"""What people bring: encodings, separators, tables without header, what systems leave in folders, damaged names."""

import csv
import gzip
import io
import json
import logging
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.corpus import ingest
from rnnlm.corpus.addresses import resolve
from rnnlm.corpus.clean import cleaner, plain_name
from rnnlm.corpus.encoding import likely
from rnnlm.corpus.formats.table import separator_of
from rnnlm.corpus.look import head_of
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import DocumentsRef
from rnnlm.settings import Corpus

WHOLE: dict[str, Any] = {"valid_share": 0.0, "test_share": 0.0}
CSV = "text,label\none,a\ntwo,b\n"


def _ingest(tmp_path: Path, **fields: Any) -> DocumentsRef:
    return ingest(Corpus(**(WHOLE | fields)), tmp_path / "out", downloads=tmp_path / "downloads")


def _rows(ref: DocumentsRef) -> list[tuple[str, str | None]]:
    return [(row["text"], row["label"]) for row in pq.read_table(ref.file).to_pylist()]


def _read(tmp_path: Path, name: str, content: bytes | str, **fields: Any) -> list[tuple[str, str | None]]:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return _rows(_ingest(tmp_path, files=[str(path)], **fields))


def _error(tmp_path: Path, name: str, content: bytes | str, **fields: Any) -> DataError:
    with pytest.raises(DataError) as raised:
        _read(tmp_path, name, content, **fields)
    return raised.value


def _dropped(ref: DocumentsRef) -> dict[str, int]:
    return {reason: count for reason, count in ref.dropped.items() if count}


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl", "x.txt"])
def test_a_byte_order_mark_names_the_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    text = {
        "x.csv": 'text,label\n"über\nalles 一",a\nzwei,b\n',
        "x.tsv": "text\tlabel\nüber\ta\nzwei\tb\n",
        "x.jsonl": '{"text": "über", "label": "a"}\n{"text": "zwei", "label": "b"}\n',
        "x.txt": "über\nzwei\n",
    }[name]
    fields = {"document": "line"} if name == "x.txt" else {"label": "label"}
    read = _read(tmp_path, name, text.encode(encoding), **fields)
    assert [text.splitlines()[0] for text, _ in read] == ["über", "zwei"]


def test_utf_16_without_a_mark_is_named(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        error = _error(tmp_path, "x.csv", CSV.encode(encoding))
        assert f"`encoding: {encoding}`" in error.remedy
        assert _read(tmp_path, "x.csv", CSV.encode(encoding), encoding=encoding, label="label")[0] == ("one", "a")
        # The name without a byte order asks for a mark.
        error = _error(tmp_path, "x.csv", CSV.encode(encoding), encoding="utf-16")
        assert f"`encoding: {encoding}`" in error.remedy


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "it’s “fine” and that’s all — really"),
        ("cp1252", "Le garçon était très fatigué, mais il a mangé la crème brûlée"),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy."),
        ("cp1251", "Привет, как дела? Все люди рождаются свободными и равными."),
        ("koi8_r", "Привет, как дела? Все люди рождаются свободными и равными."),
        ("cp932", "これは日本語の文章です。とても良い映画でした。"),
        ("gb18030", "这部电影非常好看，我很喜欢。演员的表演也很出色。"),
        ("big5", "這部電影非常好看，我很喜歡。演員的表演也很出色。"),
    ],
)
def test_the_likely_encoding_is_named_and_read(tmp_path: Path, encoding: str, text: str) -> None:
    content = f"plain\n{text}\n".encode(encoding)
    error = _error(tmp_path, "x.txt", content, document="line")
    assert error.where == f"{tmp_path}/x.txt, line 2"
    assert f"likely {encoding} (“{text[:8]}" in error.problem
    assert f"`encoding: {encoding}`" in error.remedy
    assert "iconv" not in str(error)
    assert _read(tmp_path, "x.txt", content, document="line", encoding=encoding)[1][0] == text


def test_a_few_damaged_bytes_are_no_other_encoding(tmp_path: Path) -> None:
    """Read as cp1252, all that is right in the file would be damaged."""
    content = "über alle Maßen schön\n".encode() * 9 + b"kaputt\xe9\n"
    error = _error(tmp_path, "x.txt", content, document="line")
    assert error.where.endswith("line 10")
    assert "damaged" in error.problem
    assert "encoding:" not in error.remedy


def test_the_place_of_a_wrong_byte_is_right_far_into_a_file(tmp_path: Path) -> None:
    lines = [b"a line of text"] * 9_000 + [b"and here: \xff\xff\xff"] + [b"more"] * 9_000
    error = _error(tmp_path, "x.txt", b"\n".join(lines), document="line")
    assert error.where.endswith("line 9001")
    assert "byte 11 of the line is 0xff" in error.problem


def test_bytes_that_are_no_text_in_any_encoding(tmp_path: Path) -> None:
    assert likely(bytes(range(256)) * 20) == []
    error = _error(tmp_path, "x.txt", bytes(range(1, 256)) * 20)
    assert "likely" not in error.problem


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(b"text", mtime=0), "gzip"),
        (b"%PDF-1.7\n%", "PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, "Office"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS"),
    ],
)
@pytest.mark.parametrize("name", ["x.csv", "x.txt", "x.jsonl", "x.xlsx"])
def test_what_is_no_text_is_named(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    error = _error(tmp_path, name, content)
    assert what in error.problem
    assert error.remedy
    # Nor does an encoding that reads all bytes make it text.
    assert what in _error(tmp_path, name, content, encoding="latin-1").problem


@pytest.mark.parametrize(("member", "what"), [("xl/workbook.xml", "workbook"), ("word/document.xml", "word processor")])
def test_an_office_file_is_named(tmp_path: Path, member: str, what: str) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(member, "<x/>")
    for name in ("x.csv", "x.xlsx"):
        assert what in _error(tmp_path, name, written.getvalue()).problem


@pytest.mark.parametrize("text", ["\ufffd" * 9 + "a", "\x01\x02\x03abc"])
def test_text_that_is_mostly_no_text_is_refused(tmp_path: Path, text: str) -> None:
    assert "control characters or U+FFFD" in _error(tmp_path, "x.txt", text).problem
    assert "control characters or U+FFFD" in _error(tmp_path, "x.jsonl", json.dumps({"text": text})).problem
    good = ["a whole sentence of text"] * 3 + [text]
    assert len(_read(tmp_path, "x.txt", "\n".join(good), document="line", drop_duplicates=False)) == 4


# Tables


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_and_said(tmp_path: Path, separator: str, caplog: pytest.LogCaptureFixture) -> None:
    rows = [["text", "label"], ["a, b; c | d\te", "x"], ["two", "y"]]
    written = io.StringIO()
    csv.writer(written, delimiter=separator).writerows(rows)
    with caplog.at_level(logging.INFO, "rnnlm.steps"):
        assert _read(tmp_path, "x.csv", written.getvalue(), label="label") == [("a, b; c | d\te", "x"), ("two", "y")]
    assert ("separated by" in caplog.text) == (separator != ",")


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;\r"])
def test_the_line_of_a_spreadsheet_names_the_separator(tmp_path: Path, line: str) -> None:
    assert _read(tmp_path, "x.csv", f"{line}\ntext;label\none, two;a\nb;c\n", label="label")[0] == ("one, two", "a")
    ids = pq.read_table(tmp_path / "out/documents.parquet")["id"].to_pylist()
    assert ids == ["x.csv, line 3", "x.csv, line 4"]


def test_a_good_csv_stays_a_csv() -> None:
    assert separator_of(["text,a;b;c;d\n"], ["text"]) == ","
    assert separator_of(["text\n", "one; two\n"], ["text"]) == ","
    assert separator_of(["a|b|c\n", "1|2|3\n"]) == "|"


def test_what_separates_a_table_that_says_it_is_tsv(tmp_path: Path) -> None:
    assert "separated by commas: that is `format: csv`" in _error(tmp_path, "x.tsv", CSV).remedy


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_columns_by_number(tmp_path: Path, name: str) -> None:
    separator = "," if name == "x.csv" else "\t"
    content = "".join(separator.join(row) + "\n" for row in (["pos", "A title", "body one"], ["neg", "", "body two"]))
    read = _read(tmp_path, name, content, header=False, label=1, text=[2, 3])
    assert read == [("A title\nbody one", "pos"), ("body two", "neg")]
    error = _error(tmp_path, name, content, header=False, text=4)
    assert "no column '4'; there are: 1, 2, 3" in error.problem


def test_a_semicolon_table_without_header(tmp_path: Path) -> None:
    content = "pos;one, and more\nneg;two\n"
    assert _read(tmp_path, "x.csv", content, header=False, label=1, text=2) == [
        ("one, and more", "pos"),
        ("two", "neg"),
    ]


def test_columns_by_number_are_for_tables_of_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="for CSV and TSV"):
        _read(tmp_path, "x.txt", "text", header=False, text=1)


def test_a_long_first_row_is_not_printed_whole(tmp_path: Path) -> None:
    error = _error(tmp_path, "x.csv", ",".join(["word " * 20_000] * 100))
    assert len(str(error)) < 2_000
    assert "`header: false`" in error.remedy


@pytest.mark.parametrize(
    ("title", "body", "text"),
    [("T", "B", "T\nB"), ("", "B", "B"), (" ", "B", "B"), (None, "B", "B"), ("T", None, "T")],
)
def test_text_columns_are_joined_by_line_ends(tmp_path: Path, title: str, body: str, text: str) -> None:
    pq.write_table(pa.table({"body": [body, "x"], "title": [title, "y"]}), tmp_path / "x.parquet")
    ref = _ingest(tmp_path, files=[f"{tmp_path}/x.parquet"], text=["title", "body"])
    assert _rows(ref) == [(text, None), ("y\nx", None)]
    lines = [json.dumps({"title": title, "body": body}), json.dumps({"title": "y", "body": "x"})]
    assert _read(tmp_path, "x.jsonl", "\n".join(lines), text=["title", "body"]) == [(text, None), ("y\nx", None)]


@pytest.mark.parametrize("name", ["Review Text", " Review Text ", "review\u0301"])
def test_a_name_may_hold_blanks_and_accents(tmp_path: Path, name: str) -> None:
    for header, wanted in ((f" {name} ", name), (name, f" {name}"), (name, name)):
        rows = [[header, "a b"], ["one", "x"], ["two", "y"]]
        written = io.StringIO()
        csv.writer(written).writerows(rows)
        assert _read(tmp_path, "x.csv", written.getvalue(), text=wanted, label="a b") == [("one", "x"), ("two", "y")]
        lines = "\n".join(json.dumps({header: text}) for text in ("one", "two"))
        assert _read(tmp_path, "x.jsonl", lines, text=wanted) == [("one", None), ("two", None)]


def test_json_lines_may_leave_out_what_is_null(tmp_path: Path) -> None:
    lines = [{"label": "a"}, {"text": "one", "label": "a"}, {"text": "two", "label": "b"}]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    ref = _ingest(tmp_path, files=[str(path)], label="label")
    assert (_rows(ref), _dropped(ref)) == ([("one", "a"), ("two", "b")], {"empty": 1})
    error = _error(tmp_path, "y.jsonl", '{"body": "a", "title": "b"}\n' * 5_000, text=["title", "text"])
    assert (error.where, error.problem) == (f"{tmp_path}/y.jsonl, line 1", "no column 'text'; there are: body, title.")


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt", "x.jsonl"])
def test_lines_may_end_with_cr_alone(tmp_path: Path, name: str) -> None:
    content = {
        "x.csv": 'text,label\r"one\nmore",a\rtwo,b\r',
        "x.tsv": "text\tlabel\rone\ta\rtwo\tb",
        "x.txt": "one\rtwo",
        "x.jsonl": '{"text": "one"}\r{"text": "two"}\r',
    }[name]
    read = [text for text, _ in _read(tmp_path, name, content, document="line")]
    assert read == (["one\nmore", "two"] if name == "x.csv" else ["one", "two"])


def test_a_cr_in_a_file_with_lf_ends_no_line(tmp_path: Path) -> None:
    assert [text for text, _ in _read(tmp_path, "x.txt", "a\rb\nc\n", document="line")] == ["a\nb", "c"]


def test_blank_rows_of_a_spreadsheet_are_counted(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f",,\r\n{CSV},\n , \n,,,\n", encoding="utf-8")
    ref = _ingest(tmp_path, files=[f"{tmp_path}/x.csv"], label="label")
    assert (_rows(ref), _dropped(ref)) == ([("one", "a"), ("two", "b")], {"blank": 4})


def test_a_long_field_that_is_not_read_is_no_fault(tmp_path: Path) -> None:
    content = f"text,page\none,{'x' * 300_000}\n"
    assert _read(tmp_path, "x.csv", content, max_characters=100_000) == [("one", None)]


def test_labels_groups_and_splits_are_made_plain(tmp_path: Path) -> None:
    rows = [
        ("1", "café", "train"),
        ("2", "cafe\u0301 ", " train\u200b"),
        ("3", "\ufeffneg\x00", "valid"),
        ("4", "neg", "test"),
        ("5", "neg\u2060", "train"),
    ]
    content = "".join(",".join(row) + "\n" for row in [("text", "label", "split"), *rows])
    ref = _ingest(tmp_path, files=[_write(tmp_path / "x.csv", content)], label="label", split="split")
    assert ref.labels == ["café", "neg"]
    ref = _ingest(tmp_path, files=[f"{tmp_path}/x.csv"], label="label", labels=["cafe\u0301", "neg"])
    assert sum(ref.labelled.values()) == 5
    assert plain_name("👩\u200d👧\u200d") == "👩\u200d👧"


def _write(path: Path, content: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return str(path)


# Folders and archives


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    left = ["__MACOSX/._a.txt", "._a.txt", ".DS_Store", "Thumbs.db", "sub/.ipynb_checkpoints/a.txt", "a~.txt", "a.txt~"]
    left += [".a.txt.swp", ".git/HEAD.txt"]
    for name in [*left, "a.txt", "sub/b.txt"]:
        _write(tmp_path / "data" / name, f"text of {name}")
    for address in (f"{tmp_path}/data", f"{tmp_path}/data/**"):
        with caplog.at_level(logging.INFO, "rnnlm.steps"):
            ref = _ingest(tmp_path, files=[address], format="text")
        assert sorted(text for text, _ in _rows(ref)) == ["text of a.txt", "text of sub/b.txt"]
        assert _dropped(ref) == {"junk": len(left)}
        (line,) = [line for line in caplog.messages if "Passed over" in line]
        assert line.startswith("Passed over 9 files")
        assert "macOS" in line
        caplog.clear()
    # What is named by itself is meant.
    assert _rows(_ingest(tmp_path, files=[f"{tmp_path}/data/a~.txt"])) == [("text of a~.txt", None)]


@pytest.mark.parametrize("name", ["one.csv.zip", "archive.zip"])
@pytest.mark.parametrize("more", [[], ["__MACOSX/._one.csv", ".DS_Store"]])
def test_a_zip_of_one_file_is_that_file(tmp_path: Path, name: str, more: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for other in more:
            archive.writestr(other, "junk")
        archive.writestr("data/one.csv", CSV)
    ref = _ingest(tmp_path, files=[f"{tmp_path}/{name}"], label="label")
    assert _rows(ref) == [("one", "a"), ("two", "b")]
    assert pq.read_table(ref.file)["id"].to_pylist()[0] == f"{name}, line 2"


def test_a_zip_of_several_files_says_which(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.csv.zip", "w") as archive:
        archive.writestr("train.csv", CSV)
        archive.writestr("test.csv", CSV)
    with pytest.raises(DataError, match=r"2 files \(train.csv, test.csv\).*zip://train.csv::ARCHIVE"):
        _ingest(tmp_path, files=[f"{tmp_path}/x.csv.zip"])


def test_empty_files_and_nulls_are_dropped_and_counted(tmp_path: Path) -> None:
    for n in range(5):
        _write(tmp_path / f"data/{n}.txt", "" if n < 3 else f"text {n}")
    ref = _ingest(tmp_path, files=[f"{tmp_path}/data"])
    assert (len(_rows(ref)), _dropped(ref)) == (2, {"empty": 3})
    with pytest.raises(DataError, match=r"3 documents have no text .*0.txt.*1.txt.*2.txt"):
        _ingest(tmp_path, files=[f"{tmp_path}/data"], drop_empty=False)
    pq.write_table(pa.table({"text": ["a", None, "", None]}), tmp_path / "x.parquet")
    assert _dropped(_ingest(tmp_path, files=[f"{tmp_path}/x.parquet"])) == {"empty": 3}
    with pytest.raises(DataError, match=r"2 documents have no text .*row 2, .*row 4"):
        _ingest(tmp_path, files=[f"{tmp_path}/x.parquet"], drop_empty=False)


def test_an_empty_row_needs_no_label(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label,n\none,a,1\ntwo,b,2\n,,3\n", encoding="utf-8")
    assert _dropped(_ingest(tmp_path, files=[f"{tmp_path}/x.csv"], label="label")) == {"empty": 1}


def test_documents_without_one_of_the_labels_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\none,a\ntwo,b\nthree,\nfour,c\n", encoding="utf-8")
    ref = _ingest(tmp_path, files=[f"{tmp_path}/x.csv"], label="label", labels=["a", "b"])
    assert _dropped(ref) == {"unlabelled": 1, "label": 1}


def test_one_document_names_the_other_ways_to_read_it(tmp_path: Path) -> None:
    error = _error(tmp_path, "x.txt", "one line\n" * 9, test_share=0.5, valid_share=0.49)
    assert "There is one document only" in error.remedy
    assert "`document: line`" in error.remedy


# Addresses


def test_a_glob_in_a_folder_with_brackets(tmp_path: Path) -> None:
    for name in ("[old] data/a.txt", "[old] data/deep [1]/b.txt", "[old] data/c.md", "o/d.txt"):
        _write(tmp_path / name, name)

    def names(address: str) -> list[str]:
        return [file.path[len(str(tmp_path)) + 1 :] for file in resolve(Corpus(files=[address]), downloads=tmp_path)]

    assert names(f"{tmp_path}/[old] data/*.txt") == ["[old] data/a.txt"]
    assert names(f"{tmp_path}/[old] data/**/*.txt") == ["[old] data/a.txt", "[old] data/deep [1]/b.txt"]
    assert names(f"{tmp_path}/[old] data/deep [1]/*") == ["[old] data/deep [1]/b.txt"]
    assert names(f"{tmp_path}/[[]old] data/*.txt") == ["[old] data/a.txt"]
    assert names(f"{tmp_path}/[old]/*.txt") == ["o/d.txt"]


def test_a_name_with_two_colons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "a::b.csv", CSV)
    monkeypatch.chdir(tmp_path)
    for address in (f"{tmp_path}/a::b.csv", "a::b.csv", "a::*.csv"):
        assert _rows(_ingest(tmp_path, files=[address], label="label")) == [("one", "a"), ("two", "b")]


def test_a_relative_address_names_the_folder_that_was_looked_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("data/x.csv", "*.csv"):
        with pytest.raises(DataError) as raised:
            _ingest(tmp_path, files=[address])
        assert str(tmp_path) in raised.value.problem


# The head of a file


@pytest.mark.parametrize(
    ("name", "content", "encoding", "separator", "header", "columns"),
    [
        ("x.csv", CSV.encode(), "auto", ",", True, ["text", "label"]),
        ("x.csv", "text;label\nüber;a\n".encode("utf-16"), "auto", ";", True, ["text", "label"]),
        (
            "x.csv",
            "pos,it’s “fine”, and more\nneg,no\npos,so\n".encode("cp1252"),
            "cp1252",
            ",",
            False,
            ["1", "2", "3"],
        ),
        ("x.tsv", b"1\tone\n0\ttwo\n", "auto", "\t", False, ["1", "2"]),
        ("x.jsonl", b'{"a": 1}\n{"b": 2}\n', "auto", None, False, ["a", "b"]),
        ("x.txt.gz", gzip.compress(b"one\ntwo\n", mtime=0), "auto", None, False, []),
    ],
)
def test_the_head_of_a_file(
    tmp_path: Path, name: str, content: bytes, encoding: str, separator: str, header: bool, columns: list[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    (file,) = resolve(Corpus(files=[f"{tmp_path}/{name}"]), downloads=tmp_path)
    head = head_of(file)
    assert (head.encoding, head.separator, head.header, head.columns) == (encoding, separator, header, columns)
    assert head.whole
    assert head.rows


# Any text in any encoding, between any separators


@given(
    rows=st.lists(st.tuples(st.text(max_size=40), st.text(max_size=8)), min_size=1, max_size=8),
    encoding=st.sampled_from(
        ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "cp1251", "gb18030", "cp932"]
    ),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    said=st.booleans(),
)
def test_any_table_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    encoding: str,
    separator: str,
    quoting: Any,
    end: str,
    said: bool,
) -> None:
    folder = tmp_path_factory.mktemp("table")
    # What the encoding has; and enough letters that it is text.
    kept = [
        [
            f"{text.encode(encoding, 'ignore').decode(encoding)} number {n}",
            f"{label.encode(encoding, 'ignore').decode(encoding)}x",
        ]
        for n, (text, label) in enumerate([*rows, ("plain words, that are read", "another")])
    ]
    written = io.StringIO()
    written.write(f"sep={separator}{end}" if said else "")
    csv.writer(written, delimiter=separator, quoting=quoting, lineterminator=end).writerows([["text", "label"], *kept])
    (folder / "x.csv").write_bytes(written.getvalue().encode(encoding))
    named = "auto" if encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32") else encoding
    corpus = Corpus(files=[f"{folder}/x.csv"], label="label", encoding=named, drop_duplicates=False, **WHOLE)
    clean = cleaner(corpus)
    labels = {plain_name(label) for _, label in kept}
    if len(labels) < 2:
        return
    ref = ingest(corpus, folder / "out", downloads=folder)
    assert _rows(ref) == [(clean(text), plain_name(label)) for text, label in kept]


@given(text=st.text(min_size=1), encoding=st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-8-sig"]))
def test_any_text_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str) -> None:
    folder = tmp_path_factory.mktemp("text")
    text = f"{text.encode(encoding, 'ignore').decode(encoding)} and enough words to be text, whatever stood before\n"
    (folder / "x.txt").write_bytes(text.encode(encoding))
    corpus = Corpus(files=[f"{folder}/x.txt"], **WHOLE)
    assert _rows(ingest(corpus, folder / "out", downloads=folder)) == [(cleaner(corpus)(text), None)]

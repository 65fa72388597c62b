"""What is kept, dropped, counted and written; and the errors for what cannot be used."""

import errno
import gzip
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from rnnlm.corpus import ingest
from rnnlm.corpus.schema import COUNTS, DOCUMENTS
from rnnlm.errors import ConfigError, DataError, RnnlmError, StoreError
from rnnlm.refs import DocumentsRef
from rnnlm.settings import Corpus, Replacement

WHOLE: dict[str, Any] = {"valid_share": 0.0, "test_share": 0.0}


def _jsonl(path: Path, rows: Iterable[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def _lines(path: Path, *lines: str) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def _ingest(tmp_path: Path, **fields: Any) -> DocumentsRef:
    return ingest(Corpus(**fields), tmp_path / "out", downloads=tmp_path / "downloads")


def _texts(ref: DocumentsRef, split: str | None = None) -> list[str]:
    return [row["text"] for row in pq.read_table(ref.file).to_pylist() if split in (None, row["split"])]


def test_schema_order_and_counts(tmp_path: Path) -> None:
    rows = [
        {"text": f"document {number}", "label": number % 2, "author": f"author {number % 97}"} for number in range(5000)
    ]
    ref = _ingest(tmp_path, files=[_jsonl(tmp_path / "x.jsonl", rows)], label="label", group="author", test_share=0.1)
    table = pq.read_table(ref.file)
    assert table.schema.equals(DOCUMENTS)
    assert json.loads(pq.read_schema(ref.file).metadata[COUNTS]) == ref.documents
    splits = table["split"].to_pylist()
    assert splits == [split for split, count in ref.documents.items() for _ in range(count)]
    assert sum(ref.documents.values()) == 5000
    assert ref.labelled == ref.documents
    assert ref.labels == ["0", "1"]
    assert max(pq.ParquetFile(ref.file).metadata.row_group(index).num_rows for index in range(3)) <= 2048
    assert sorted((tmp_path / "out").iterdir()) == [tmp_path / "out" / "SHA256SUMS", ref.file]


def test_the_same_input_gives_the_same_bits(tmp_path: Path) -> None:
    files = [_lines(tmp_path / "x.txt", *(f"line {number}" for number in range(300)))]
    one = ingest(Corpus(files=files, document="line"), tmp_path / "one", downloads=tmp_path)
    two = ingest(Corpus(files=files, document="line"), tmp_path / "two", downloads=tmp_path)
    assert one.file.read_bytes() == two.file.read_bytes()
    assert one.sha256 == two.sha256


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    digests = set()
    for text in ("one", "two"):
        digests.add(_ingest(tmp_path, files=[_lines(path, text, "same")], document="line", **WHOLE).sha256)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        ("file", ["one\ntwo\n\n \nthree\u2028 four"]),
        ("line", ["one", "two", "three\u2028 four"]),
        ("paragraph", ["one\ntwo", "three\u2028 four"]),
    ],
)
def test_a_document_is_a_file_a_line_or_a_paragraph(tmp_path: Path, document: str, texts: list[str]) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("\ufeffone\r\ntwo\n\n \nthree\u2028\x1dfour".encode())
    ref = _ingest(tmp_path, files=[str(path)], document=document, **WHOLE)
    assert _texts(ref) == texts
    places = [identity.partition(", ")[2] for identity in pq.read_table(ref.file)["id"].to_pylist()]
    assert places == {"file": [""], "line": ["line 1", "line 2", "line 5"], "paragraph": ["line 1", "line 5"]}[document]


def test_tsv_has_no_quoting_and_csv_has(tmp_path: Path) -> None:
    tsv = _lines(tmp_path / "x.tsv", "text\tlabel", '"so\ta', 'he said "no"\tb')
    assert _texts(_ingest(tmp_path, files=[tsv], **WHOLE)) == ['"so', 'he said "no"']
    csv = _lines(tmp_path / "x.csv", "label,text", 'a,"so, ""he"" said\x0b', 'and left"', "", "b,x\u2028y")
    ref = _ingest(tmp_path, files=[csv], **WHOLE)
    assert _texts(ref) == ['so, "he" said \nand left', "x\u2028y"]
    assert pq.read_table(ref.file)["id"].to_pylist() == ["x.csv, line 2", "x.csv, line 5"]


def test_a_long_csv_field_is_read(tmp_path: Path) -> None:
    csv = _lines(tmp_path / "x.csv", "text", "x" * 200_000)
    assert len(_texts(_ingest(tmp_path, files=[csv], **WHOLE))[0]) == 200_000


def test_labels_of_any_kind_are_names(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", "b"], "label": pa.array([1, 0], pa.float64()), "split": ["train", "train"]})
    pq.write_table(table, tmp_path / "x.parquet")
    assert _ingest(tmp_path, files=[f"{tmp_path}/x.parquet"], label="label", split="split").labels == ["0", "1"]
    rows = [{"text": "a", "label": True}, {"text": "b", "label": 7}]
    assert _ingest(tmp_path, files=[_jsonl(tmp_path / "x.jsonl", rows)], label="label", **WHOLE).labels == ["7", "true"]


def test_dropped_documents_are_counted(tmp_path: Path) -> None:
    rows = [("good", "fresh"), (" \n", "rotten"), ("bad", "rotten"), ("story", "plot"), ("go\u0000od ", "fresh")]
    files = [_jsonl(tmp_path / "x.jsonl", [{"text": text, "kind": label} for text, label in rows])]
    ref = _ingest(tmp_path, files=files, label="kind", labels=["fresh", "rotten"], **WHOLE)
    assert {reason: count for reason, count in ref.dropped.items() if count} == {"empty": 1, "duplicate": 1, "label": 1}
    assert _texts(ref) == ["good", "bad"]
    kept = _ingest(tmp_path, files=files, label="kind", labels=["fresh", "rotten"], drop_duplicates=False, **WHOLE)
    assert _texts(kept) == ["good", "bad", "good"]


def test_overlap_is_reported_and_dropped_from_the_training_side(tmp_path: Path) -> None:
    splits = {
        "train": [_lines(tmp_path / "train.txt", "a", "b", "b", "c", "d")],
        "valid": [_lines(tmp_path / "valid.txt", "b", "e", "f")],
        "test": [_lines(tmp_path / "test.txt", "c", "e", "g")],
    }
    pairs = {"train+valid": 1, "train+test": 1, "valid+test": 1}
    ref = _ingest(tmp_path, **splits, document="line", drop_duplicates=False)
    assert [_texts(ref, split) for split in splits] == [["a", "d"], ["b", "f"], ["c", "e", "g"]]
    assert (ref.overlap, ref.dropped["overlap"]) == (pairs, 4)
    ref = _ingest(tmp_path, **splits, document="line", drop_duplicates=False, drop_overlap=False)
    assert ref.documents == {"train": 5, "valid": 3, "test": 3}
    assert (ref.overlap, ref.dropped["overlap"]) == (pairs, 0)


def test_valid_is_cut_from_train_where_it_is_not_given(tmp_path: Path) -> None:
    train = [_lines(tmp_path / "train.txt", *(f"train {number}" for number in range(1000)))]
    test = [_lines(tmp_path / "test.txt", *(f"test {number}" for number in range(10)))]
    ref = _ingest(tmp_path, train=train, test=test, document="line", valid_share=0.2)
    assert ref.documents["test"] == 10
    assert ref.documents["valid"] == pytest.approx(200, abs=40)
    assert sum(ref.documents.values()) == 1010
    ref = _ingest(tmp_path, train=train, valid=test, test=test, document="line", drop_overlap=False)
    assert ref.documents == {"train": 1000, "valid": 10, "test": 10}


def test_split_column(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": name, "part": name.split()[0]} for name in ("test 1", "train 1", "valid 1", "train 2")
    ]
    ref = _ingest(tmp_path, files=[_jsonl(tmp_path / "x.jsonl", rows)], split="part")
    assert _texts(ref) == ["train 1", "train 2", "valid 1", "test 1"]


def test_a_split_column_without_valid_rows_gets_them_from_train(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": f"{part} {n}", "part": part} for n in range(200) for part in ("train", "test")
    ]
    path = _jsonl(tmp_path / "x.jsonl", rows)
    ref = _ingest(tmp_path, files=[path], split="part", valid_share=0.2, test_share=0.3)
    # The test rows are as they were marked, whatever test_share says.
    assert ref.documents["test"] == 200
    assert 20 <= ref.documents["valid"] <= 60
    assert ref.documents["train"] == 200 - ref.documents["valid"]
    texts = _texts(ref)
    assert all(text.startswith("test") for text in texts[200:])
    assert all(text.startswith("train") for text in texts[:200])


@pytest.fixture
def aclimdb(tmp_path: Path) -> Path:
    root = tmp_path / "aclImdb"
    for split in ("train", "test"):
        for label in ("pos", "neg"):
            for number in range(40):
                path = root / split / label / f"{number}_7.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{split} {label} {number}<br /><br />end", encoding="utf-8")
    (root / "train/unsup").mkdir()
    for number in range(30):
        (root / f"train/unsup/{number}_0.txt").write_text(f"unlabelled {number}", encoding="utf-8")
    (root / "README").write_text("about", encoding="utf-8")
    (root / "train/urls_pos.txt").write_text("http://", encoding="utf-8")
    return root


def test_aclimdb_layout(aclimdb: Path, tmp_path: Path) -> None:
    ref = _ingest(tmp_path, files=[str(aclimdb)], format="aclimdb", html_breaks=True, valid_share=0.2)
    assert ref.labels == ["neg", "pos"]
    assert ref.labelled["train"] + ref.labelled["valid"] == ref.documents["test"] == 80
    assert ref.documents["train"] == ref.labelled["train"] + 30
    assert ref.documents["valid"] == ref.labelled["valid"] > 0
    rows = pq.read_table(ref.file).to_pylist()
    assert {row["label"] for row in rows if "/unsup/" in row["id"]} == {None}
    assert "test/pos/0_7.txt" in [row["id"] for row in rows]
    assert "test pos 0\n\nend" in _texts(ref, "test")


def test_aclimdb_in_an_archive_without_unsup(aclimdb: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for path in sorted(aclimdb.rglob("*.txt")):
            archive.write(path, path.relative_to(tmp_path))
    ref = _ingest(tmp_path, files=[f"zip://aclImdb::{tmp_path}/x.zip"], format="aclimdb", labels=["pos", "neg"])
    assert sum(ref.documents.values()) == 160
    assert ref.dropped["unlabelled"] == 30


def test_a_value_of_the_label_column_may_stand_for_none(tmp_path: Path) -> None:
    rows = [{"text": f"text {number}", "label": number % 3 - 1} for number in range(300)]
    files = [_jsonl(tmp_path / "x.jsonl", rows)]
    ref = _ingest(tmp_path, files=files, label="label", unlabelled="-1", valid_share=0.2, test_share=0.2)
    assert ref.labels == ["0", "1"]
    assert ref.documents["train"] == ref.labelled["train"] + 100
    assert (ref.labelled["valid"], ref.labelled["test"]) == (ref.documents["valid"], ref.documents["test"])
    with pytest.raises(ValidationError, match="`label` names none"):
        Corpus(files=files, unlabelled="-1")


def test_a_copy_with_a_label_is_kept_and_a_group_stays_together(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "label": "?", "film": n % 20} for n in range(200)]
    rows += [{"text": f"text {n}", "label": "ab"[n % 2], "film": n % 20} for n in range(100)]
    files = [_jsonl(tmp_path / "x.jsonl", rows)]
    shares = {"valid_share": 0.2, "test_share": 0.2}
    ref = _ingest(tmp_path, files=files, label="label", labels=["a", "b"], unlabelled="?", group="film", **shares)
    assert sum(ref.documents.values()) == 200
    assert sum(ref.labelled.values()) == 100
    assert ref.dropped["duplicate"] == 100
    assert ref.dropped["label"] == 0
    by_group: dict[str, set[str]] = {}
    for row in pq.read_table(ref.file).to_pylist():
        by_group.setdefault(row["group"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in by_group.values())
    assert min(ref.documents.values()) > 0


def test_what_stands_in_another_corpus_is_left_out(tmp_path: Path) -> None:
    """The cleaned texts are compared, not the rows."""
    files = [_jsonl(tmp_path / "x.jsonl", [{"text": "one<br />two"}, {"text": "three"}, {"text": "four"}])]
    others = _jsonl(tmp_path / "others.jsonl", [{"text": "one <p> two"}, {"text": "five"}])
    fields: dict[str, Any] = {"files": files, "exclude": [others], "html_breaks": True, **WHOLE}
    ref = _ingest(tmp_path, **fields, replace=[Replacement(pattern=r"\s+", by=" ")])
    assert _texts(ref) == ["three", "four"]
    assert ref.dropped["excluded"] == 1
    # An empty line there is no reason to drop those that a text has.
    lines, empty = _lines(tmp_path / "x.txt", "a", "", "b", ""), _lines(tmp_path / "y.txt", "", "b")
    fields = {"document": "line", "drop_empty": False, "drop_duplicates": False, **WHOLE}
    assert _texts(_ingest(tmp_path, files=[lines], exclude=[empty], **fields)) == ["a", "", ""]
    with pytest.raises(DataError, match="no such file"):
        _ingest(tmp_path, files=files, exclude=[f"{tmp_path}/none.jsonl"])


BAD: list[tuple[str, bytes, dict[str, Any], str, str]] = [
    ("x.txt", b"", {}, "x.txt", "empty"),
    ("x.csv.gz", gzip.compress(b"", mtime=0), {}, "x.csv.gz", "empty"),
    ("x.txt", b"one\ntw\xe9o\n", {}, "x.txt, line 2", "byte 3 of the line is 0xe9"),
    ("x.txt.gz", b"no gzip", {}, "x.txt.gz", "damaged"),
    ("x.txt.gz", gzip.compress(b"some text " * 1000, mtime=0)[:-20], {}, "x.txt.gz", "cut short"),
    ("x.txt.bz2", b"no bzip2", {}, "x.txt.bz2", "damaged"),
    ("x.txt.xz", b"no xz", {}, "x.txt.xz", "damaged"),
    ("x.txt.zst", b"no zstd at all", {}, "x.txt.zst", "damaged"),
    ("x.parquet", b"no parquet", {}, "x.parquet", "damaged"),
    ("x.csv", b"body,kind\na,b\n", {}, "x.csv, line 1", "no column 'text'; there are: body, kind"),
    ("x.csv", b"text,text\na,b\n", {}, "x.csv, line 1", "is there twice"),
    ("x.csv", b'text,kind\n"a\nb",c\nd,e,f\n', {}, "x.csv, line 4", "3 fields, where the header has 2"),
    ("x.csv", b'text,kind\nok,b\n"open,c\nd,e\n', {}, "x.csv, line 3 to 4", "not CSV"),
    ("x.tsv", b"text\tkind\na b\n", {}, "x.tsv, line 2", "1 fields, where the header has 2"),
    ("x.jsonl", b'{"text": "a"}\n\n{"text": \n', {}, "x.jsonl, line 3", "broken JSON"),
    ("x.jsonl", b'{"text": "a"}\n["a"]\n', {}, "x.jsonl, line 2", "no JSON object"),
    ("x.jsonl", b'{"text": 3}\n', {}, "x.jsonl, line 1", "no string"),
    ("x.jsonl", b'{"body": "a"}\n', {}, "x.jsonl, line 1", "there are: body"),
    ("x.jsonl", b'{"text": "\\ud800"}\n', {}, "x.jsonl, line 1", "surrogate"),
    ("x.jsonl", b'{"text": "a", "k": ["b"]}\n', {"label": "k"}, "x.jsonl, line 1", "a list of tags, not one label"),
    ("x.csv", b"text,kind\na,b\nc, \n", {"label": "kind"}, "x.csv, line 3", "label ('kind') is missing"),
    ("x.csv", b"text,kind\na,b\nc,b\n", {"label": "kind"}, "", "only 'b'"),
    ("x.csv", b"text,kind\na,b\nc,d\n", {"label": "kind", "labels": ["b"]}, "", "only 'b'"),
    ("x.csv", b"text,kind\n,b\n ,c\n", {}, "", "no training documents"),
    ("x.csv", b"text\n", {}, "", "no training documents"),
    ("x.csv", b"text,part\na,train\nb,dev\n", {"split": "part"}, "x.csv, line 3", "the split is 'dev'"),
    ("x.csv", b"text,part\na,train\nb,\n", {"split": "part"}, "x.csv, line 3", "the split is empty"),
    ("x.txt", b"some text", {"label_pattern": "(pos|neg)"}, "x.txt", "finds no label"),
    ("x.txt", b"word " * 300, {"max_characters": 1000}, "x.txt", "longer than 1,000"),
    ("x.txt", b"x" * 9000, {"max_characters": 1000}, "x.txt, line 1", "longer than 1,000"),
    (
        "x.txt",
        b"a\n\nb\n" + b"word\n" * 300,
        {"max_characters": 1000, "document": "paragraph"},
        "x.txt, line 3",
        "longer",
    ),
    ("x.csv", b"text\n" + b"x" * 1001 + b"\n", {"max_characters": 1000}, "x.csv, line 2", "longer than 1,000"),
    ("x.txt", b"a", {"format": "aclimdb"}, "x.txt", "is not in train/LABEL/"),
]


@pytest.mark.parametrize(("name", "content", "fields", "where", "problem"), BAD)
def test_bad_data_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes, fields: dict[str, Any], where: str, problem: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        _ingest(tmp_path, files=[str(path)], **(WHOLE | fields))
    assert problem in raised.value.problem
    assert raised.value.where == (f"{tmp_path}/{where}" if where else str(path))
    assert list(tmp_path.iterdir()) == [path], "nothing half-written is left"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"files": ["x.txt"], "label": "kind"}, "plain text has no columns"),
        ({"files": ["x.what"]}, "tells no format"),
        ({"train": ["x.txt"], "format": "aclimdb"}, "knows its splits itself"),
        ({"train": ["x.csv"], "split": "part"}, "as a column too"),
    ],
)
def test_contradictions(tmp_path: Path, fields: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x.txt", "x.csv", "x.what"):
        (tmp_path / name).write_text("text,part\na,train\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=problem):
        _ingest(tmp_path, **fields)


def test_an_earlier_output_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    first = _ingest(tmp_path, files=[_lines(path, "good")], **WHOLE)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RnnlmError):
        _ingest(tmp_path, files=[str(path)], **WHOLE)
    assert _texts(first) == ["good"]


def test_a_full_disk_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files = [_lines(tmp_path / "x.txt", "text")]
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(StoreError, match="the disk is full"):
        _ingest(tmp_path, files=files, **WHOLE)
    assert not (tmp_path / "out").exists()


def test_memory_holds_no_corpus(tmp_path: Path) -> None:
    import tracemalloc

    with (tmp_path / "x.txt").open("w", encoding="utf-8") as file:
        for number in range(12_000):
            file.write(f"{number} " * 400 + "\n")
    size = (tmp_path / "x.txt").stat().st_size
    tracemalloc.start()
    try:
        ref = _ingest(
            tmp_path, files=[f"{tmp_path}/x.txt"], document="line", replace=[Replacement(pattern="xx", by="")]
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(ref.documents.values()) == 12_000
    assert peak < size / 1.5

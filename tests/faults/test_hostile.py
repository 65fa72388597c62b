"""Hostile and odd input: it works, or ends in one error for people, soon and without all of the memory."""

import json
import os
import resource
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer
from typer.testing import CliRunner

from rnnlm import environment
from rnnlm.cli.app import app
from rnnlm.corpus import clean, fingerprint, ingest
from rnnlm.errors import DataError, RnnlmError
from rnnlm.experiment import load_experiment
from rnnlm.settings import Corpus
from rnnlm.settings import Tokenizer as TokenizerSettings
from rnnlm.steps.rates import rates
from rnnlm.tokens import TextTokenizer
from rnnlm.tokens.kinds import train

SECONDS, BYTES = 40.0, 700_000_000


@pytest.fixture(autouse=True)
def bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Work in a folder of the test, and look at the time and the memory that it took."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path / "home"))
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.monotonic() - began < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES


def read(tmp_path: Path, **fields: Any) -> Any:
    corpus = Corpus.model_validate({"valid_share": 0.0, "test_share": 0.0} | fields)
    fingerprint(corpus, downloads=tmp_path / "downloads")
    return ingest(corpus, tmp_path / "out", downloads=tmp_path / "downloads")


def look(*names: str) -> str:
    """Return what `rnnlm look` says; it ends with an error for people, or well."""
    done = CliRunner().invoke(app, ["look", *names])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


def dictionary(values: list[str], rows: int) -> pa.Table:
    return pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(values))})


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: Path(path).symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_a_folder_with_what_is_no_file_is_read_without_it(make: Callable[[str], None], tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    make("texts/a.txt")
    with pytest.raises(DataError, match="matches"):
        read(tmp_path, files=["texts/*.txt"])
    (tmp_path / "texts" / "b.txt").write_text("text")
    assert read(tmp_path, files=["texts/*.txt"]).documents["train"] == 1
    assert "b.txt" in look("texts")
    with pytest.raises(RnnlmError):
        read(tmp_path, files=["texts/a.txt"])


def test_a_text_that_a_small_file_repeats_is_in_memory_once(tmp_path: Path) -> None:
    # Read as 256 rows at a time, they would take 768 MB, several times over.
    pq.write_table(dictionary(["x" * 3_000_000], 300), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    assert "text" in look("a.parquet")


@pytest.mark.parametrize(
    "table",
    [pa.table({"text": pa.array(["y" * 50_000_000])}), pa.table({"text": ["a"], "v": [[0.0] * 20_000_000]})],
    ids=["text", "vector"],
)
def test_a_value_that_is_longer_than_any_may_be_is_not_read(table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    assert "more than 10,000,000 characters or numbers a row" in look("a.parquet")
    with pytest.raises(DataError, match="has more than 10,000,000 characters or numbers a row"):
        read(tmp_path, files=["a.parquet"], vector="v" if "v" in table.column_names else None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"\n\n\n"),
        ("a.csv", b"x" * 5_000_000),
        ("a.tsv", b"\t" * 100_000),
        ("a.jsonl", b'{"": "a b c"}'),
        ("a.jsonl", "\n".join(json.dumps({"text": "a b", f"k{n}": 1}) for n in range(5_000)).encode()),
        ("a.jsonl", b'{"text": "a b", "\\ud800": "x", "label": "\\ud800"}'),
        ("a.jsonl", b'{"text": ' + b"[" * 100_000),
        ("a.csv", b"text,\x1b]0;x\x07\na b c,1\n"),
        ("a.parquet", b"PAR1" + bytes(100) + b"PAR1"),
    ],
    ids=str,
)
def test_odd_tables_are_looked_at(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    said = look(name)
    assert "Traceback" not in said
    assert "\x1b" not in said


def test_names_with_half_a_surrogate_pair_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a b", "label": "x\\ud800", "group": "y"}')
    with pytest.raises(DataError, match=r"the label 'x\\ud800' has half of a surrogate pair"):
        read(tmp_path, files=["a.jsonl"], label="label")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / os.fsdecode(b"a\xff.txt")).write_text("text")
    with pytest.raises(DataError, match="the name of the file is not UTF-8"):
        read(tmp_path, files=["texts/*.txt"])


def test_members_of_archives_that_are_no_files_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("pipe.txt", tarfile.FIFOTYPE), ("device.txt", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type = kind
            archive.addfile(member)
    for name in ("pipe.txt", "device.txt", "*.txt"):
        with pytest.raises(RnnlmError):
            read(tmp_path, files=[f"tar://{name}::a.tar"])


@pytest.mark.parametrize(
    "address",
    ["", "http://[::1", "http://[::1]:99999/x.csv", "reference://x", "dir://x", "data:,hello", "a\0b", "x" * 10_000],
)
def test_odd_addresses_are_one_error(address: str, tmp_path: Path) -> None:
    with pytest.raises(RnnlmError) as raised:
        read(tmp_path, files=[address])
    assert "Check the network" not in raised.value.remedy


def test_a_replacement_cannot_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a" * 40)
    grow = [{"pattern": "a", "by": "a" * 1_000}] * 3
    with pytest.raises(RnnlmError, match="replace: may make a text of 40,000,000 characters too long"):
        read(tmp_path, files=["a.txt"], replace=grow)


def test_a_group_that_is_found_again_and_again_cannot_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean, "LONGEST", 1_000_000)
    (tmp_path / "a.txt").write_text("a" * 4_000)
    with pytest.raises(RnnlmError, match="replace: may make a text of 4,000 characters too long"):
        read(tmp_path, files=["a.txt"], replace=[{"pattern": "(?=(.*))", "by": r"\1"}])
    assert read(tmp_path, files=["a.txt"], replace=[{"pattern": "(a)a", "by": r"<\1>"}]).documents["train"] == 1


OF_SOURCE = "name: x\nsource: {corpus: {files: [x.txt]}}\n"
ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    "content",
    [
        ALIASES,
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 31)),
        f"name: [{'x,' * 1_000_000}]",
        "x: !!int",
        f"{OF_SOURCE}model: {{embedding: {'1:' + '10:' * 20_000 + '10.5'}}}",
        f"{OF_SOURCE}model: {{embedding: 0x{'f' * 5_000}}}",
        f"{OF_SOURCE}model: {{embedding: {10**30}}}",
        f"{OF_SOURCE}comparison: {{arms: [{', '.join(f'x{n}' for n in range(20_000))}]}}",
        'name: "x\\ud800"\nsource: {corpus: {files: [x.txt], label: "st\\ud800"}}',
    ],
    ids=["aliases", "merges", "large", "no int", "base 60", "hexadecimal", "wide", "many problems", "surrogates"],
)
def test_odd_experiments_are_one_short_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(RnnlmError) as raised:
        load_experiment("x.yaml")
    assert len(str(raised.value)) < 20_000


@pytest.mark.parametrize(
    "change",
    [
        {
            "padding": {
                "strategy": {"Fixed": 10**9},
                "direction": "Right",
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "x",
            }
        },
        {"truncation": {"max_length": 3, "stride": 5, "strategy": "LongestFirst", "direction": "Right"}},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": "."}, "content": "b" * 1_000}},
        {"unk": "zz"},
        {"post": 10**6},
        {"post_processor": {"type": "BertProcessing", "sep": ["a", 999_999], "cls": ["b", 4]}},
    ],
    ids=str,
)
def test_tokenizers_of_others_are_refused_or_harmless(change: dict[str, Any], tmp_path: Path) -> None:
    train(TokenizerSettings(kind="word", vocabulary_size=30), [["a b c d"]] * 3).save("t.json")
    content = json.loads((tmp_path / "t.json").read_text())
    if "unk" in change:
        content["model"]["unk_token"] = change["unk"]
    elif "post" in change:
        for token in content["post_processor"]["special_tokens"].values():
            token["ids"] = [change["post"]]
    else:
        content |= change
    (tmp_path / "t.json").write_text(json.dumps(content))
    Tokenizer.from_file("t.json")  # the library takes it
    if "padding" in change or "truncation" in change:
        tokenizer = TextTokenizer.load(tmp_path / "t.json")
        assert [len(ids) for ids in tokenizer.encode(["a b c d"])] == [5 + (tokenizer.bos is not None)]
    else:
        with pytest.raises(DataError, match="is not that of a tokenizer of rnnlm"):
            TextTokenizer.load(tmp_path / "t.json")


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"1",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b"9" * 5_000,
        b'{"prefect": "http://a\\u0000b", "mlflow": ""}',
    ],
    ids=lambda content: str(content[:20]),
)
def test_odd_files_of_the_workplace_are_none(content: bytes, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "results").mkdir(parents=True)
    for file in (home / environment.SERVERS, home / "results" / "pretrain-x.json"):
        file.write_bytes(content)
    assert environment.running_servers() is None
    assert list(rates()) == []
    for file in (home / environment.SERVERS, home / "results" / "pretrain-x.json"):
        file.unlink()
        os.mkfifo(file)
    assert environment.running_servers() is None
    assert list(rates()) == []

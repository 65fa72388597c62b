"""Where text may lie: folders, globs, archives in archives, compressed files, remote file systems."""

import bz2
import contextlib
import gzip
import importlib
import io
import lzma
import shutil
import tarfile
import zipfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from fsspec.registry import _registry

from rnnlm.corpus import fingerprint, ingest
from rnnlm.corpus.files import public
from rnnlm.errors import ConfigError, DataError, StoreError
from rnnlm.refs import DocumentsRef
from rnnlm.settings import Corpus

WHOLE = {"valid_share": 0.0, "test_share": 0.0}
CSV = 'text,label\none,a\n"two, and\nmore",b\n'


def _ingest(corpus: Corpus, folder: Path) -> tuple[DocumentsRef, list[str], list[str]]:
    ref = ingest(corpus, folder / "out", downloads=folder / "downloads")
    table = pq.read_table(ref.file)
    return ref, table["id"].to_pylist(), table["text"].to_pylist()


def _write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", zstandard.compress),
        (".ZST", lambda data: zstandard.compress(data[:9]) + zstandard.compress(data[9:])),
    ],
)
def test_compressed_plain_and_in_a_zip(tmp_path: Path, suffix: str, compress) -> None:  # type: ignore[no-untyped-def]
    name = f"rows.csv{suffix}"
    _write(tmp_path / name, compress(CSV.encode()))
    with zipfile.ZipFile(tmp_path / "outer.whl", "w") as archive:
        archive.write(tmp_path / name, f"inner/{name}")
    for address, shown in (
        (f"{tmp_path}/{name}", name),
        (f"zip://inner/{name}::{tmp_path}/outer.whl", f"zip://inner/{name}::outer.whl"),
    ):
        _, ids, texts = _ingest(Corpus(files=[address], label="label", **WHOLE), tmp_path)
        assert ids == [f"{shown}, line 2", f"{shown}, line 3"]
        assert texts == ["one", "two, and\nmore"]


def test_parquet_compressed_in_a_zip(tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["one", "two"]}), sink)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.parquet.gz", gzip.compress(sink.getvalue()))
    _, ids, texts = _ingest(Corpus(files=[f"zip://x.parquet.gz::{tmp_path}/a.zip"], **WHOLE), tmp_path)
    assert texts == ["one", "two"]
    assert ids == ["zip://x.parquet.gz::a.zip, row 1", "zip://x.parquet.gz::a.zip, row 2"]


def test_zip_in_zip_and_globs_in_it(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("b.txt", "bee")
        archive.writestr("a.txt", "ay")
        archive.writestr("c.md", "no")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("data/inner.zip", inner.getvalue())
    address = f"zip://*.txt::zip://data/inner.zip::{tmp_path}/outer.zip"
    _, ids, texts = _ingest(Corpus(files=[address], **WHOLE), tmp_path)
    assert texts == ["ay", "bee"]
    assert ids == [f"zip://{name}.txt::zip://data/inner.zip::outer.zip" for name in "ab"]


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("w:", "tar"), ("w:gz", "tar.gz"), ("w:gz", "tgz"), ("w:bz2", "tar.bz2"), ("w:xz", "tar.xz")],
)
def test_tar_is_read_forwards(tmp_path: Path, mode: str, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name in ("d/z.txt", "d/a.txt", "d/m.txt"):
            info = tarfile.TarInfo(name)
            info.size = 7
            archive.addfile(info, io.BytesIO(name.encode()))
    _, ids, texts = _ingest(Corpus(files=[f"tar://d::{path}"], **WHOLE), tmp_path)
    assert texts == ["d/z.txt", "d/a.txt", "d/m.txt"]
    assert ids == [f"tar://{name}::{path.name}" for name in texts]


def test_folder_is_all_its_text_files_sorted(tmp_path: Path) -> None:
    for name in ("b.txt", "a/x.txt", "a.txt", "c.csv", "notes"):
        _write(tmp_path / "texts" / name, name)
    _, ids, _ = _ingest(Corpus(files=[f"{tmp_path}/texts"], format="text", **WHOLE), tmp_path)
    assert ids == ["a.txt", "a/x.txt", "b.txt"]


def test_names_are_below_the_folder_that_the_addresses_share(tmp_path: Path) -> None:
    _write(tmp_path / "d/pos/1.txt", "good")
    _write(tmp_path / "d/neg/1.txt", "bad")
    _write(tmp_path / "d/neg/deep/2.txt", "worse")
    corpus = Corpus(files=[f"{tmp_path}/d/pos/*.txt", f"{tmp_path}/d/neg/**"], label_pattern="(pos|neg)/", **WHOLE)
    ref, ids, _ = _ingest(corpus, tmp_path)
    assert ids == ["pos/1.txt", "neg/1.txt", "neg/deep/2.txt"]
    assert ref.labels == ["neg", "pos"]


def test_a_folder_further_up_does_not_decide_a_label(tmp_path: Path) -> None:
    for label in ("pos", "neg"):
        _write(tmp_path / "pos" / "data" / label / "1.txt", label)
    ref, _, _ = _ingest(Corpus(files=[f"{tmp_path}/pos/data/*/*.txt"], label_pattern="(pos|neg)/", **WHOLE), tmp_path)
    assert ref.labels == ["neg", "pos"]


def test_the_same_elsewhere_has_the_same_digest(tmp_path: Path) -> None:
    for name in ("1.txt", "2.txt"):
        _write(tmp_path / "here" / name, f"text of {name}")
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deep")
    here, there = (Corpus(files=[f"{tmp_path}/{folder}"], **WHOLE) for folder in ("here", "there/deep"))
    one = ingest(here, tmp_path / "one", downloads=tmp_path)
    two = ingest(there, tmp_path / "two", downloads=tmp_path)
    assert one.sha256 == two.sha256
    assert one.file.read_bytes() == two.file.read_bytes()
    assert fingerprint(here, downloads=tmp_path) == fingerprint(there, downloads=tmp_path)


def test_overlapping_addresses_read_a_file_once(tmp_path: Path) -> None:
    _write(tmp_path / "a.txt", "a")
    _write(tmp_path / "b.txt", "b")
    corpus = Corpus(files=[f"{tmp_path}/*.txt", f"{tmp_path}/a.txt"], drop_duplicates=False, **WHOLE)
    assert _ingest(corpus, tmp_path)[2] == ["a", "b"]


def test_a_name_with_brackets_is_no_glob(tmp_path: Path) -> None:
    _write(tmp_path / "a[1].txt", "a")
    assert _ingest(Corpus(files=[f"{tmp_path}/a[1].txt"], **WHOLE), tmp_path)[2] == ["a"]


@pytest.fixture
def memory():  # type: ignore[no-untyped-def]
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()


def test_remote(tmp_path: Path, memory) -> None:  # type: ignore[no-untyped-def]
    memory.pipe_file("/bucket/a.jsonl.gz", gzip.compress(b'{"text": "one"}\n{"text": "two"}\n'))
    memory.pipe_file("/bucket/b.jsonl", b'{"text": "three"}')
    corpus = Corpus(files=["memory://bucket/*.jsonl*"], **WHOLE)
    _, ids, texts = _ingest(corpus, tmp_path)
    assert texts == ["one", "two", "three"]
    assert ids[0] == "memory:///bucket/a.jsonl.gz, line 1"
    before = fingerprint(corpus, downloads=tmp_path)
    assert fingerprint(corpus, downloads=tmp_path) == before
    memory.pipe_file("/bucket/b.jsonl", b'{"text": "four!"}')
    assert fingerprint(corpus, downloads=tmp_path) != before


def test_fingerprint_changes_with_content_and_not_with_the_time(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.txt", "one")
    corpus = Corpus(files=[str(path)])
    first = fingerprint(corpus, downloads=tmp_path)
    _write(path, "one")
    assert fingerprint(corpus, downloads=tmp_path) == first
    _write(path, "two")
    assert fingerprint(corpus, downloads=tmp_path) != first


def test_fingerprint_changes_with_what_is_left_out(tmp_path: Path) -> None:
    path, other = _write(tmp_path / "a.txt", "one"), _write(tmp_path / "b.txt", "two")
    corpus = Corpus(files=[str(path)], exclude=[str(other)])
    first = fingerprint(corpus, downloads=tmp_path)
    assert first != fingerprint(Corpus(files=[str(path)]), downloads=tmp_path)
    assert first != fingerprint(Corpus(files=[str(path), str(other)]), downloads=tmp_path)
    _write(other, "three")
    assert fingerprint(corpus, downloads=tmp_path) != first


@pytest.mark.parametrize("address", ["{0}/none.txt", "{0}/none/*.txt", "{0}/empty", "zip://none::{0}/a.zip"])
def test_nothing_there(tmp_path: Path, address: str) -> None:
    (tmp_path / "empty").mkdir()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    address = address.format(tmp_path)
    with pytest.raises(DataError) as raised:
        ingest(Corpus(files=[address]), tmp_path / "out", downloads=tmp_path)
    assert raised.value.where == address
    assert raised.value.remedy
    assert not (tmp_path / "out").exists()


def test_unknown_protocol(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        ingest(Corpus(files=["nowhere://x/y.txt"]), tmp_path / "out", downloads=tmp_path)


@pytest.mark.parametrize(("address", "extra"), [("s3://b/x.txt", "s3"), ("gs://b/x.txt", "gcs")])
def test_missing_file_system_names_the_extra(
    tmp_path: Path, address: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_installed(*_: object, **__: object) -> None:
        raise ImportError(f"Install {extra}fs")

    monkeypatch.setattr("fsspec.core.url_to_fs", not_installed)
    with pytest.raises(ConfigError) as raised:
        ingest(Corpus(files=[address]), tmp_path / "out", downloads=tmp_path)
    assert f"pip install 'rnnlm[{extra}]'" in raised.value.remedy


class _Down(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """A remote file system whose client fails: when it is asked what there is, or when a file is read."""

    error: Exception = Exception()
    while_reading = False
    cachable = False

    def info(self, path: str, **_: object) -> dict[str, object]:
        if not self.while_reading:
            raise self.error
        return {"name": path, "type": "file", "size": 4}

    def ls(self, path: str, *_: object, **__: object) -> list[dict[str, object]]:
        raise self.error

    def _open(self, path: str, mode: str = "rb", **_: object) -> io.RawIOBase:
        error = self.error

        class Broken(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, _: object) -> int:
                raise error

        return Broken()

    def checksum(self, path: str) -> int:
        return 1


class _ClientError(Exception):
    """What botocore, google-auth and most clients raise: nothing that Python knows."""


def _client_errors() -> list[Exception]:
    import httpx
    import requests
    import urllib3

    refused = "[Errno 111] Connection refused"
    errors: list[Exception] = [
        _ClientError("An error occurred (503)"),
        httpx.ConnectError(refused),
        requests.ConnectionError(refused),
        urllib3.exceptions.HTTPError(refused),
        ConnectionRefusedError(111, "Connection refused"),
        ConnectionError("offline mode is enabled"),
        TimeoutError(),
        OSError(101, "Network is unreachable"),
        RuntimeError("Session is closed"),
        ValueError("Bad answer"),
    ]
    for module, name in (("httpx2", "ConnectError"), ("aiohttp", "ClientConnectionError")):
        with contextlib.suppress(ImportError):
            errors.append(getattr(importlib.import_module(module), name)(refused))
    hidden = FileNotFoundError("x.txt")
    hidden.__cause__ = errors[1]
    return [*errors, hidden]


@pytest.mark.parametrize("error", _client_errors(), ids=lambda error: type(error).__name__)
def test_a_store_that_does_not_answer_is_a_store_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(_Down, "error", error)
    for protocol in ("s3", "gs", "hf", "https"):
        monkeypatch.setitem(_registry, protocol, _Down)
        for name in ("x.txt", "*.txt", "folder"):
            corpus = Corpus(files=[f"{protocol}://b/c/{name}"])
            with pytest.raises(StoreError) as raised:
                fingerprint(corpus, downloads=tmp_path)
            assert raised.value.where == corpus.files[0]
            assert "cannot be reached" in raised.value.problem
    if not isinstance(error, FileNotFoundError):
        monkeypatch.setattr(_Down, "while_reading", True)
        with pytest.raises(StoreError, match="cannot be reached"):
            ingest(Corpus(files=["s3://b/x.txt"]), tmp_path / "out", downloads=tmp_path)


def test_a_mistake_in_a_program_is_no_answer_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_registry, "s3", _Down)
    monkeypatch.setattr(_Down, "error", TypeError("unexpected keyword"))
    with pytest.raises(TypeError):
        ingest(Corpus(files=["s3://b/x.txt"]), tmp_path / "out", downloads=tmp_path)


def test_a_refused_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(StoreError, match=r"cannot be reached: .*127\.0\.0\.1:9.*try again later"):
        fingerprint(Corpus(files=["http://127.0.0.1:9/x.txt?key=secret"]), downloads=tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(StoreError, match="pip could not fetch it"):
        ingest(Corpus(files=[f"pypi://x==1.0#sha256={'0' * 64}"]), tmp_path / "out", downloads=tmp_path)


def test_what_a_client_says_is_short_and_without_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_registry, "s3", _Down)
    monkeypatch.setattr(_Down, "error", _ClientError("GET https://h/x?key=secret failed\n<html>" + "x" * 9_000))
    with pytest.raises(StoreError) as raised:
        fingerprint(Corpus(files=["s3://b/x.txt"]), downloads=tmp_path)
    assert "secret" not in str(raised.value)
    assert len(str(raised.value)) < 600


def test_a_zip_with_a_password_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.txt.zip", "w") as archive:
        archive.writestr("x.txt", "text")
    content = bytearray((tmp_path / "x.txt.zip").read_bytes())
    # The flag of an encrypted file, in its own header and in the directory.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.txt.zip").write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        ingest(Corpus(files=[f"{tmp_path}/x.txt.zip"]), tmp_path / "out", downloads=tmp_path)


def test_no_password_or_key_is_written_down(tmp_path: Path) -> None:
    assert public("https://me:secret@host/x.csv.gz?key=secret") == "https://host/x.csv.gz"
    assert public("ftp://me:secret@host/x.csv") == "ftp://host/x.csv"

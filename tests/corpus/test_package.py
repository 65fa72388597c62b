"""Archives of the package index, with a folder of archives as the index: no network."""

import functools
import hashlib
import io
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rnnlm.corpus import fingerprint, ingest, package
from rnnlm.errors import ConfigError, DataError, StoreError
from rnnlm.settings import Corpus


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def wheel(index: Path) -> Path:
    path = index / "texts_of_mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("texts_of_mine/data/lines.txt", "one\ntwo\nthree\n")
        meta = "texts_of_mine-1.0.dist-info"
        # Neither the Python that it asks for nor what it depends on matters.
        lines = [
            "Metadata-Version: 2.1",
            "Name: texts-of-mine",
            "Version: 1.0",
            "Requires-Python: <3",
            "Requires-Dist: none",
        ]
        archive.writestr(f"{meta}/METADATA", "\n".join(lines) + "\n")
        archive.writestr(f"{meta}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{meta}/RECORD", "")
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _link(path: Path, sha256: str | None = None) -> str:
    return f"pypi://texts-of-mine==1.0#sha256={sha256 or _sha256(path)}"


def test_wheel_is_fetched_once_and_read(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus(
        files=[f"zip://texts_of_mine/data/lines.txt::{_link(wheel)}"], document="line", valid_share=0.0, test_share=0.0
    )
    before = fingerprint(corpus, downloads=tmp_path / "downloads")
    assert not (tmp_path / "downloads").exists(), "a pinned digest needs no download"
    ref = ingest(corpus, tmp_path / "out", downloads=tmp_path / "downloads")
    table = pq.read_table(ref.file)
    assert table["text"].to_pylist() == ["one", "two", "three"]
    assert table["id"][0].as_py() == "zip://texts_of_mine/data/lines.txt::pypi://texts-of-mine==1.0, line 1"
    assert fingerprint(corpus, downloads=tmp_path) == before

    def no_second_time(*_: object, **__: object) -> None:
        raise AssertionError("fetched again")

    monkeypatch.setattr("subprocess.run", no_second_time)
    assert ingest(corpus, tmp_path / "again", downloads=tmp_path / "downloads").sha256 == ref.sha256


def test_a_source_distribution_is_fetched_and_not_run(index: Path, tmp_path: Path) -> None:
    backend = (
        f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
        "def prepare_metadata_for_build_wheel(folder, settings=None):\n"
        "    import pathlib\n"
        "    info = pathlib.Path(folder) / 'texts_of_mine-1.0.dist-info'\n"
        "    info.mkdir()\n"
        "    (info / 'METADATA').write_text('Metadata-Version: 2.1\\nName: texts-of-mine\\nVersion: 1.0\\n')\n"
        "    return info.name\n"
        "def build_wheel(*args, **kwargs):\n"
        "    raise RuntimeError\n"
    )
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend,
        "PKG-INFO": "Metadata-Version: 2.1\nName: texts-of-mine\nVersion: 1.0\n",
        "data.txt": "text",
    }
    path = index / "texts-of-mine-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"texts-of-mine-1.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content.encode()))
    address = f"tar://texts-of-mine-1.0/data.txt::{_link(path)}"
    corpus = Corpus(files=[address], valid_share=0.0, test_share=0.0)
    ref = ingest(corpus, tmp_path / "out", downloads=tmp_path / "downloads")
    assert pq.read_table(ref.file)["text"].to_pylist() == ["text"]
    assert not (tmp_path / "ran").exists()


class Index(SimpleHTTPRequestHandler):
    """A package index in a folder."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an index at the address that pip is told."""
    folder = tmp_path / "simple"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Index, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}")
        yield folder
        server.shutdown()


def test_a_source_distribution_is_found_in_an_index(served: Path, tmp_path: Path) -> None:
    content = b"not even an archive"
    sha256 = hashlib.sha256(content).hexdigest()
    page = served / "texts-of-mine" / "index.html"
    page.parent.mkdir()
    (served / "files").mkdir()
    (served / "files" / "texts of mine-1.0.tar.gz").write_bytes(content)
    (served / "files" / "other-1.0.tar.gz").write_bytes(b"other")
    link = f"../files/texts%20of%20mine-1.0.tar.gz#sha256={sha256}"
    page.write_text(f'<a href="../files/other-1.0.tar.gz#sha256={"0" * 64}">o</a> <a class="x" href="{link}">t</a>')
    kept = package.fetch(f"pypi://Texts_of.mine==1.0#sha256={sha256}", tmp_path / "downloads")
    assert kept.read_bytes() == content
    assert kept.name == "texts of mine-1.0.tar.gz"
    # An index that lies about a digest.
    with pytest.raises(StoreError, match="pip could not fetch it"):
        package.fetch(f"pypi://texts-of-mine==1.0#sha256={'0' * 64}", tmp_path / "downloads")


def test_wrong_digest_of_the_index_is_refused(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=_sha256(wheel)) as raised:
        package.fetch(_link(wheel, "0" * 64), tmp_path / "downloads")
    assert "texts-of-mine==1.0" in raised.value.where
    assert not list((tmp_path / "downloads").iterdir())


def test_wrong_digest_of_the_kept_file_is_refused_by_name(wheel: Path, tmp_path: Path) -> None:
    kept = package.fetch(_link(wheel), tmp_path)
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(DataError) as raised:
        package.fetch(_link(wheel), tmp_path)
    assert raised.value.where == str(kept)


def test_nothing_to_fetch_is_a_store_error_that_says_where_to_put_it(index: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as raised:
        package.fetch(f"pypi://texts-of-mine==1.0#sha256={'0' * 64}", tmp_path / "downloads")
    assert str(tmp_path / "downloads" / ("0" * 64)) in raised.value.remedy
    assert "ERROR" in raised.value.problem


def test_no_pip(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} -S -m pip "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(StoreError, match="has no pip"):
        package.fetch(f"pypi://texts-of-mine==1.0#sha256={'0' * 64}", tmp_path / "downloads")


@pytest.mark.parametrize("link", ["pypi://x", "pypi://x==1", "pypi://x==1#sha256=12", "pypi://x>=1#sha256=" + "0" * 64])
def test_an_address_that_is_not_whole(link: str, tmp_path: Path) -> None:
    corpus = Corpus(files=[f"zip://a.txt::{link}"])
    for step in (
        lambda: ingest(corpus, tmp_path / "out", downloads=tmp_path),
        lambda: fingerprint(corpus, downloads=tmp_path),
    ):
        with pytest.raises(ConfigError, match="sha256=DIGEST"):
            step()

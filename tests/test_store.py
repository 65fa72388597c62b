import errno
from pathlib import Path

import pytest

from rnnlm.errors import StoreError
from rnnlm.store import file_sha256, home, made_anew, whole_folder, write_whole


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    final = tmp_path / "a" / "out"
    with whole_folder(final) as work:
        (work / "x").write_text("1")
        assert not final.exists()
    assert (final / "x").read_text() == "1"
    assert [entry.name for entry in final.parent.iterdir()] == ["out"]


def test_a_failure_leaves_nothing_and_keeps_the_earlier_one(tmp_path: Path) -> None:
    final = tmp_path / "out"
    with whole_folder(final) as work:
        (work / "x").write_text("1")
    with pytest.raises(IsADirectoryError), whole_folder(final) as work:
        work.write_text("2")
    assert (final / "x").read_text() == "1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_new_one_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    final = tmp_path / "out"
    for content in "12":
        with whole_folder(final) as work:
            (work / content).write_text(content)
    assert [entry.name for entry in final.iterdir()] == ["2"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_says_where_and_what_to_do(tmp_path: Path) -> None:
    message = rf"{tmp_path}: the disk is full. Free some space"
    with pytest.raises(StoreError, match=message), whole_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "deep" / "x.json"
    for text in ("one", "电影"):
        write_whole(file, text)
        assert file.read_text(encoding="utf-8") == text

    def full(_: Path, __: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="the disk is full"):
        write_whole(file, "three")
    assert file.read_text(encoding="utf-8") == "电影"
    assert list(file.parent.iterdir()) == [file]


def test_digest_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    # The published test vector of SHA-256.
    assert file_sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    monkeypatch.setenv("RNNLM_HOME", "")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / ".rnnlm"


def test_what_is_damaged_in_the_store_is_deleted_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    folder = tmp_path / "store" / "tokenize-1"
    for path in (folder, folder / "tokens.parquet", folder / "deep" / "weights.safetensors"):
        assert made_anew(path).startswith(f"Delete the folder {folder} and run the same command again")
    for elsewhere in (tmp_path / "store", tmp_path / "exported" / "model"):
        assert str(tmp_path) not in made_anew(elsewhere)

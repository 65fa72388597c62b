import errno
import os
import subprocess
import sys
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
    assert sorted(entry.name for entry in final.iterdir()) == ["2", "SHA256SUMS"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_a_folder_lists_the_digests_of_its_files(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as work:
        (work / "b").write_bytes(b"abc")
        (work / "a").mkdir()
        (work / "a" / "电影.txt").write_bytes(b"")
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path / "out", capture_output=True, text=True)
    assert done.stdout == "a/电影.txt: OK\nb: OK\n"
    with whole_folder(tmp_path / "out", listed=False) as work:
        (work / "b").write_bytes(b"abc")
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["b"]


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    code = "import os, sys, pathlib, rnnlm.store as s\nwith s.whole_folder(pathlib.Path(sys.argv[1])) as work: "
    code += "(work / 'x').write_text('1'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".rnnlm-out-")
    (tmp_path / ".mine-out-12345678").mkdir()
    with whole_folder(tmp_path / "other") as work, whole_folder(tmp_path / "third"):
        assert work.is_dir(), "a process that lives keeps its folder"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".mine-out-12345678", "other", "third"]


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


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_what_is_written_has_the_rights_of_the_users_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with whole_folder(tmp_path / "output") as work:
            (work / "file").write_text("text")
        write_whole(tmp_path / "result.json", "{}")
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "output", tmp_path / "result.json")}
    assert modes == {tmp_path / "output": 0o777 & ~umask, tmp_path / "result.json": 0o666 & ~umask}

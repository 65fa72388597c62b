"""Damaged files are found before they are used, and outputs that are damaged are set aside."""

import logging
import os
from pathlib import Path

import pytest

from rnnlm import checksums
from rnnlm.checksums import checked, is_whole
from rnnlm.errors import DataError
from rnnlm.store import file_sha256, whole_folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    with whole_folder(tmp_path / "out") as work:
        (work / "a.bin").write_bytes(bytes(1_000))
        (work / "b.txt").write_text("电影", encoding="utf-8")
    return tmp_path / "out"


def flip(file: Path) -> None:
    """Change one byte, and neither the size nor the time."""
    before, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_was_written_is_whole(output: Path) -> None:
    assert is_whole(output)
    assert checked(output / "a.bin") == output / "a.bin"
    assert not is_whole(output.with_name("nothing"))


@pytest.mark.parametrize("name", ["a.bin", "b.txt", "SHA256SUMS"])
def test_one_other_byte_is_found_and_the_folder_is_set_aside(
    name: str, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    flip(output / name)
    with caplog.at_level(logging.WARNING, "rnnlm.steps"):
        assert not is_whole(output)
    assert f"Its folder is now {output.with_name('damaged-out')}, and is made again." in caplog.text
    assert not output.exists()
    assert (output.with_name("damaged-out") / name).is_file()


@pytest.mark.parametrize("damage", ["cut", "gone", "empty"])
def test_a_file_that_is_shorter_or_gone_is_found(damage: str, output: Path) -> None:
    file = output / "a.bin"
    if damage == "gone":
        file.unlink()
    else:
        os.truncate(file, 0 if damage == "empty" else 999)
    with pytest.raises(DataError, match=r"a\.bin: is (gone|damaged: its SHA-256 is [0-9a-f]{12}…, and was)"):
        checked(file)


def test_files_in_folders_are_compared_too(output: Path) -> None:
    with whole_folder(output) as work:
        (work / "figures").mkdir()
        (work / "figures" / "a.png").write_bytes(b"abc")
    flip(output / "figures" / "a.png")
    assert not is_whole(output)


def test_a_second_damage_takes_the_place_of_the_first(output: Path, tmp_path: Path) -> None:
    for content in "12":
        with whole_folder(output) as work:
            (work / "x").write_text(content)
        flip(output / "x")
        assert not is_whole(output)
    assert [entry.name for entry in tmp_path.iterdir()] == ["damaged-out"]


def test_a_file_is_read_once_until_it_changes(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def digest(file: Path) -> str:
        read.append(file.name)
        return file_sha256(file)

    monkeypatch.setattr(checksums, "file_sha256", digest)
    for _ in range(3):
        checked(output / "a.bin")
    assert read == ["a.bin"]
    (output / "a.bin").write_bytes(b"other")
    with pytest.raises(DataError, match="is damaged"):
        checked(output / "a.bin")


def test_files_of_earlier_versions_have_no_digests(output: Path) -> None:
    (output / "SHA256SUMS").unlink()
    flip(output / "a.bin")
    assert is_whole(output)
    assert checked(output / "a.bin").is_file()
    assert checked(output / "b.txt").is_file()

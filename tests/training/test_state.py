"""Training states on disk; run as a program, this file is the process that is killed, or limited, as it saves."""

import errno
import json
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file

from rnnlm.errors import FullDiskError, StoreError
from rnnlm.store import file_sha256
from rnnlm.training.state import Arrays, StateFolder, TrainingState

IDENTITY = "settings and data"


def content(step: int, size: int = 1_000) -> TrainingState:
    """What is saved at a step."""
    generator = np.random.default_rng(step)
    arrays: Arrays = {"w": generator.normal(size=size).astype(np.float32)}
    arrays["position"] = generator.integers(0, 2**62, (2, 3))
    meta = {"sum": float(generator.normal()), "curve": generator.normal(size=3).tolist(), "step": step}
    return TrainingState(step, meta, arrays)


def saved(folder: Path, steps: int) -> StateFolder:
    """Save steps 1 to `steps` as a training does."""
    states = StateFolder(folder, IDENTITY)
    for step in range(1, steps + 1):
        states.save(content(step))
    return states


def assert_loaded(state: TrainingState | None, step: int, size: int = 1_000) -> None:
    assert state is not None
    expected = content(step, size)
    assert (state.step, state.meta) == (expected.step, expected.meta)
    assert state.arrays.keys() == expected.arrays.keys()
    for name, value in expected.arrays.items():
        assert state.arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(state.arrays[name], value, err_msg=name)


def files(folder: Path) -> list[Path]:
    """The states, the newest last."""
    return sorted(folder.glob("state-*.safetensors"))


def steps(folder: Path) -> list[int]:
    return [int(path.name.split("-")[3]) for path in files(folder)]


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: name != "__metadata__")
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
TYPES = st.sampled_from(["<f4", "<f8", "<i4", "<i8", "<u4", "<u8", "|u1", "|b1"]).map(np.dtype)
ARRAYS = hnp.arrays(TYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))


@given(
    step=st.integers(0, 10**12),
    meta=st.dictionaries(st.text(max_size=5), JSON, max_size=4),
    arrays=st.dictionaries(NAMES, ARRAYS, max_size=4),
)
def test_what_was_saved_comes_back_to_the_bit(step: int, meta: dict[str, Any], arrays: Arrays) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "made" / "by save"
        assert StateFolder(folder, IDENTITY).save(TrainingState(step, meta, arrays)) > 0
        state = StateFolder(folder, IDENTITY).load()
        assert state is not None
        assert state.step == step
        # The text, because -0.0 equals 0.0, and True equals 1.
        assert repr(state.meta) == repr(meta)
        # Any other program may read the files: the library's own reader is the independent one.
        for got in (state.arrays, load_file(files(folder)[0])):
            assert got.keys() == arrays.keys()
            for name, value in arrays.items():
                assert (got[name].dtype, got[name].shape) == (value.dtype, value.shape)
                assert got[name].tobytes() == value.tobytes()


def test_floats_that_json_does_not_know_come_back(tmp_path: Path) -> None:
    meta = {"best": float("inf"), "loss": float("nan"), "third": 1 / 3, "tiny": 5e-324, "random": 2**127 + 1}
    states = StateFolder(tmp_path, IDENTITY)
    states.save(TrainingState(0, meta, {}))
    loaded = states.load()
    assert loaded is not None
    assert repr(loaded.meta) == repr(meta)


def test_an_array_that_is_a_view_is_saved_as_it_looks(tmp_path: Path) -> None:
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    arrays = {"turned": grid.T, "every second": grid[:, ::2], "backwards": grid[::-1]}
    states = StateFolder(tmp_path, IDENTITY)
    states.save(TrainingState(0, {}, arrays))
    loaded = states.load()
    assert loaded is not None
    for name, value in arrays.items():
        np.testing.assert_array_equal(loaded.arrays[name], value, err_msg=name)
        loaded.arrays[name] += 1  # a training goes on in them


def test_each_array_begins_at_a_multiple_of_its_width(tmp_path: Path) -> None:
    """Else a reader that maps the file into memory must copy it."""
    kinds = ["|u1", "<f4", "<i8", "|b1", "<f8", "<i4"]
    arrays: Arrays = {str(n): np.ones(n, kind) for n, kind in enumerate(kinds, start=1)}
    StateFolder(tmp_path, IDENTITY).save(TrainingState(0, {}, arrays))
    data = files(tmp_path)[0].read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    for name, array in arrays.items():
        assert (start + header[name]["data_offsets"][0]) % array.itemsize == 0, name


def test_saving_copies_no_array(tmp_path: Path) -> None:
    big = {"w": np.ones(2_000_000, np.float32)}
    states = StateFolder(tmp_path, IDENTITY)
    states.save(TrainingState(0, {}, big))
    tracemalloc.start()
    try:
        states.save(TrainingState(1, {}, big))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < big["w"].nbytes / 10


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (TrainingState(1, {}, {"w": np.zeros(2, np.complex64)}), "'w' of type complex64"),
        (TrainingState(1, {}, {"w": np.array(["a"], object)}), "'w' of type object"),
        (TrainingState(1, {}, {"__metadata__": np.zeros(2, np.float32)}), "'__metadata__'"),
        (TrainingState(1, {"loss": np.float32(1)}, {}), "float32 is not JSON"),
    ],
)
def test_what_cannot_come_back_is_refused(tmp_path: Path, state: TrainingState, message: str) -> None:
    states = saved(tmp_path, 2)
    with pytest.raises(TypeError, match=message):
        states.save(state)
    assert not list(tmp_path.glob("*.tmp"))
    assert_loaded(states.load(), 2)


@pytest.mark.parametrize("make", [False, True])
def test_no_state_at_all_is_no_reason_to_warn(tmp_path: Path, make: bool, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "states"
    if make:
        folder.mkdir()
    assert StateFolder(folder, IDENTITY).load() is None
    assert not caplog.records
    assert folder.exists() == make


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for count, expected in ((1, [1]), (2, [1, 2]), (5, [4, 5])):
        folder = tmp_path / str(count)
        saved(folder, count)
        assert steps(folder) == expected
        assert_loaded(StateFolder(folder, IDENTITY).load(), count)


def test_the_name_holds_the_digest_of_the_content(tmp_path: Path) -> None:
    saved(tmp_path, 4)
    paths = list(tmp_path.iterdir())
    assert len(paths) == 2
    for path in paths:
        assert path.stem.endswith("-" + file_sha256(path)[:16])


def test_content_is_on_disk_before_its_name_and_the_name_before_the_next_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    sync, rename = os.fsync, os.replace

    def fsync(number: int) -> None:
        calls.append(("sync", os.fstat(number).st_ino, os.fstat(number).st_size))
        sync(number)

    def replace(source: Path, target: Path) -> None:
        calls.append(("rename", source.stat().st_ino, source.stat().st_size))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    saved(tmp_path, 1)
    file = files(tmp_path)[0].stat()
    expected = [("sync", file.st_ino, file.st_size), ("rename", file.st_ino, file.st_size), tmp_path.stat().st_ino]
    assert [call if call[1] != tmp_path.stat().st_ino else call[1] for call in calls] == expected


def test_the_last_saved_is_the_newest_whatever_its_step(tmp_path: Path) -> None:
    states = saved(tmp_path, 5)
    for meta in ({"finished": False}, {"finished": True}):  # two states of one step
        states.save(TrainingState(3, meta, {}))
    assert StateFolder(tmp_path, IDENTITY).load() == TrainingState(3, {"finished": True}, {})
    assert steps(tmp_path) == [3, 3]


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def flip_a_bit_of_the_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[12] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def replace_by_another(path: Path) -> None:
    """Whole in itself, but not what the name says."""
    path.write_bytes(files(path.parent)[0].read_bytes()[:-1] + b"\7")


DAMAGES = [flip_a_bit, flip_a_bit_of_the_header, truncate, empty, lengthen, replace_by_another]
Damage = Callable[[Path], None]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_falls_back_to_the_one_before(
    tmp_path: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    saved(tmp_path, 5)
    newest = files(tmp_path)[-1]
    damage(newest)
    states = StateFolder(tmp_path, IDENTITY)
    assert_loaded(states.load(), 4)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rnnlm.training", logging.WARNING)
    assert str(newest) in record.getMessage()
    # The damaged one must not push out the whole one.
    states.save(content(5))
    assert steps(tmp_path) == [4, 5]
    caplog.clear()
    assert_loaded(StateFolder(tmp_path, IDENTITY).load(), 5)
    assert not caplog.records


def test_if_none_is_whole_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved(tmp_path, 3)
    for path in files(tmp_path):
        truncate(path)
    states = StateFolder(tmp_path, IDENTITY)
    assert states.load() is None
    assert [path.name in caplog.text for path in files(tmp_path)] == [True, True]
    assert "no training state is whole" in caplog.records[-1].getMessage()
    states.save(content(1))
    assert steps(tmp_path) == [1]


def test_a_state_of_another_layout_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved(tmp_path, 3)
    newest = files(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes().replace(b'"step":', b'"stop":'))
    newest.rename(newest.with_stem(newest.stem[:-16] + file_sha256(newest)[:16]))
    assert_loaded(StateFolder(tmp_path, IDENTITY).load(), 2)
    assert "not laid out" in caplog.text


def test_a_state_of_other_settings_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved(tmp_path, 5)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = StateFolder(tmp_path, "other settings")
    assert other.load() is None
    assert "other settings or data" in caplog.text
    assert files(tmp_path)[-1].name in caplog.text
    for step in range(1, 5):
        other.save(content(step))
    caplog.clear()
    assert_loaded(other.load(), 4)
    assert_loaded(StateFolder(tmp_path, IDENTITY).load(), 5)
    assert not caplog.records
    assert before.items() <= {path.name: path.read_bytes() for path in tmp_path.iterdir()}.items()


def test_the_whole_identity_counts_not_only_the_part_in_the_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved(tmp_path, 1)
    other = StateFolder(tmp_path, "other settings")
    other._owner = StateFolder(tmp_path, IDENTITY)._owner
    assert other.load() is None
    assert "belongs to other settings" in caplog.text


def test_stray_files_of_killed_saves_are_removed(tmp_path: Path) -> None:
    states = saved(tmp_path, 2)
    owner = files(tmp_path)[0].name.split("-")[1]
    strays = [tmp_path / f"state-{owner}-{number}.tmp" for number in (123, 124)]
    foreign = [tmp_path / name for name in ("state-00000000-123.tmp", "notes.txt", "state-of-affairs.safetensors")]
    for path in strays + foreign:
        path.write_text("x")
    before = set(tmp_path.iterdir())
    assert_loaded(states.load(), 2)
    assert set(tmp_path.iterdir()) == before  # who only reads changes nothing
    states.save(content(3))
    assert [path.exists() for path in strays + foreign] == [False] * 2 + [True] * 3


def test_a_write_that_fails_in_the_middle_leaves_the_states_before(tmp_path: Path) -> None:
    states = saved(tmp_path, 4)
    before = set(tmp_path.iterdir())
    # In a process of its own: the limit would also hold for the file that the output of the tests may go to.
    done = subprocess.run([sys.executable, __file__, "limited", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}: the training state cannot be written: File too large" in done.stdout
    assert set(tmp_path.iterdir()) == before
    assert_loaded(states.load(), 4)
    states.save(content(5))
    assert_loaded(states.load(), 5)


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_says_what_to_do(tmp_path: Path, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    states = saved(tmp_path, 2)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(FullDiskError, match=rf"{tmp_path}: the disk is full\. Free some space there"):
        states.save(content(3))
    monkeypatch.undo()
    assert not list(tmp_path.glob("*.tmp"))
    assert_loaded(states.load(), 2)


def test_a_folder_that_is_none_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    states = StateFolder(tmp_path / "file", IDENTITY)
    with pytest.raises(StoreError, match=r"cannot be written: File exists\. Check the folder"):
        states.save(content(1))
    with pytest.raises(StoreError, match=r"cannot be read: Not a directory\. Check the folder"):
        states.load()


def test_a_folder_that_is_closed_is_an_error_for_people(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("root may write everywhere")
        with pytest.raises(StoreError, match=r"cannot be written: Permission denied\. Check the folder"):
            StateFolder(tmp_path, IDENTITY).save(content(3))
        tmp_path.chmod(0o000)
        with pytest.raises(StoreError, match=r"cannot be read: Permission denied\. Check the folder"):
            StateFolder(tmp_path, IDENTITY).load()
    finally:
        tmp_path.chmod(0o700)


def test_a_reading_error_that_may_pass_does_not_start_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, 2)
    states = StateFolder(tmp_path, IDENTITY)

    def fail(path: Path) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("rnnlm.training.state.file_sha256", fail)
    number = errno.ETIMEDOUT
    with pytest.raises(StoreError, match=f"cannot be read: {os.strerror(number)}"):
        states.load()
    number = errno.EIO  # the disk itself is broken there
    assert states.load() is None


SIZE = 100_000  # numbers in an array of the killed process: its saves then last some milliseconds


def test_killed_at_random_moments_a_whole_state_remains(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    moments = random.Random(1)
    done = 0
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, __file__, "loop", str(tmp_path), str(done)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            # A save takes about as long as one of these moments.
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0.0, 0.05))
            process.send_signal(signal.SIGKILL)
            last = [first, *process.stdout.readlines()][-1]
        assert process.returncode == -signal.SIGKILL
        loaded = StateFolder(tmp_path, IDENTITY).load()
        assert loaded is not None
        # The process may have been killed between a save and the line that tells of it.
        assert loaded.step in (int(last), int(last) + 1)
        assert_loaded(loaded, loaded.step, SIZE)
        done = loaded.step
    assert not caplog.records  # killed is not damaged: nothing half written ever has a state's name
    # The previous states are there as well: nothing but the newest was being written.
    assert len(files(tmp_path)) >= 2


def test_killed_at_every_system_call_of_a_save_a_whole_state_remains(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, __file__, "calls", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stderr  # no warning: killed is not damaged
    outcomes = [int(line) for line in done.stdout.splitlines()]
    # Killed before the rename the state before is the newest, from then on the new one is. These come after the rename
    # at least: the folder's sync, and the removal of a state.
    renamed = outcomes.index(4)
    assert outcomes == [3] * renamed + [4] * (len(outcomes) - renamed)
    assert renamed >= 3  # open, sync, rename
    assert len(outcomes) - renamed >= 3  # open and sync the folder, remove


def _loop(folder: Path, done: int) -> None:
    """Save one state after the other until killed, and tell of each."""
    states = StateFolder(folder, IDENTITY)
    loaded = states.load()
    step = loaded.step if loaded else 0
    assert step == done
    while True:
        step += 1
        states.save(content(step, SIZE))
        print(step, flush=True)


def _limited(folder: Path) -> None:
    """Save a large state where no file may grow beyond 20,000 bytes, as on a disk that is full in its middle."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        StateFolder(folder, IDENTITY).save(content(5, size=10_000))
    except StoreError as error:
        print(error)


def _calls(folder: Path) -> None:
    """Save step 4 after step 3, once for each of its system calls, before which the process is killed."""
    number = 0
    while True:
        here = folder / str(number)
        saved(here, 3)
        child = os.fork()
        if child == 0:
            _kill_at(number)
            StateFolder(here, IDENTITY).save(content(4))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        states = StateFolder(here, IDENTITY)
        loaded = states.load()
        assert loaded is not None
        assert_loaded(loaded, loaded.step)
        print(loaded.step, flush=True)  # or the next child would print it again
        # What was left behind is in nobody's way.
        for step in (7, 8, 9):
            states.save(content(step))
            assert_loaded(StateFolder(here, IDENTITY).load(), step)
        assert steps(here) == [8, 9]
        assert len(list(here.iterdir())) == 2
        number += 1


def _kill_at(number: int) -> None:
    """End this process with SIGKILL before the given call that touches the disk."""
    watched = {"open", "os.mkdir", "os.rename", "os.remove"}
    count = -1

    def call() -> None:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    # Python announces these itself ...
    sys.addaudithook(lambda event, _: call() if event in watched else None)
    # ... but not this one, which is called with all that was written before.
    sync = os.fsync

    def fsync(file: int) -> None:
        call()
        sync(file)

    os.fsync = fsync  # type: ignore[assignment]


if __name__ == "__main__":
    if sys.argv[1] == "loop":
        _loop(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1] == "limited":
        _limited(Path(sys.argv[2]))
    else:
        _calls(Path(sys.argv[2]))

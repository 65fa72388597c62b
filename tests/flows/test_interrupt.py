"""Ending a run in a real terminal, and by signals to its whole process group: as people and `timeout` do."""

import contextlib
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnlm.experiment import Experiment

pytestmark = pytest.mark.slow

START = [sys.executable, "-c", "from rnnlm.cli.app import main; main()", "run"]
WAIT = 240.0  # seconds for the start of a run on a busy machine


@pytest.fixture
def long(tmp_path: Path, settings: dict[str, Any], experiment: Experiment) -> Path:
    """An experiment whose first training takes an hour."""
    settings["source"]["language_model"] |= {"epochs": 1_000}
    file = tmp_path / "long.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path / "home"))
    for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_LOCAL_STORAGE_PATH", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@contextlib.contextmanager
def at_terminal(command: list[str]) -> Iterator[tuple[int, int]]:
    """Run a command at a pseudo-terminal; gives its process and the terminal."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm"
        os.execvp(command[0], command)
    try:
        yield process, terminal
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        os.close(terminal)


def read_until(terminal: int, wanted: bytes | None) -> bytes:
    """Read what a terminal shows until it shows this, or until its end."""
    said, end = b"", time.monotonic() + WAIT
    while wanted is None or wanted not in said:
        assert time.monotonic() < end, said[-2_000:]
        if select.select([terminal], [], [], 1.0)[0]:
            try:
                said += os.read(terminal, 65_536)
            except OSError:  # nobody holds the other end any more
                assert wanted is None, said[-2_000:]
                break
    return said


def states(home: Path) -> tuple[set[str], set[str]]:
    """Return the states of the runs in Prefect, and in MLflow."""
    with contextlib.closing(sqlite3.connect(home / "prefect" / "prefect.db")) as prefect:
        flows = {name for (name,) in prefect.execute("SELECT state_name FROM flow_run")}
    with contextlib.closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as mlflow:
        return flows, {name for (name,) in mlflow.execute("SELECT status FROM runs")}


def test_ctrl_c_at_a_terminal_ends_a_run_at_once(home: Path, long: Path) -> None:
    with at_terminal([*START, str(long)]) as (process, terminal):
        read_until(terminal, b"tokens/s")
        began = time.monotonic()
        os.write(terminal, b"\x03")
        said = read_until(terminal, None)
        took = time.monotonic() - began
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 130
    assert b"Interrupted; finished steps are kept." in said
    assert b"Traceback" not in said
    assert said.count(b"\x1b[?25h") == 1, "the cursor is back"
    assert took < 30
    assert states(home) == ({"Crashed"}, {"KILLED"})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_ends_a_run_at_once(home: Path, long: Path, number: int) -> None:
    command = [*START, str(long), "--set", "source.language_model.evaluations=1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            assert any("tokens/s" in line for line in process.stdout)
            began = time.monotonic()
            process.send_signal(number)  # `timeout` signals the process, and then the group
            os.killpg(process.pid, number)
            _, complained = process.communicate(timeout=60)
        finally:
            process.kill()
    assert time.monotonic() - began < 30
    assert (process.returncode, complained) == (128 + number, "Interrupted; finished steps are kept.\n")
    assert states(home) == ({"Crashed"}, {"KILLED"})

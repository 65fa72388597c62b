"""What `rnnlm gc` removes, and what stays."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import rnnlm
from rnnlm.cli.app import app
from rnnlm.process import alone
from rnnlm.steps.unused import DAY, kept, remove, unused
from rnnlm.store import whole_folder, working_in


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workplace with outputs of 1,000 bytes: 50, 40, 2 and 0 days old."""
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    for name, days in {"store/old": 50, "mapped/older-than-a-month": 40, "store/young": 2, "training/now": 0}.items():
        with whole_folder(tmp_path / name, listed=False) as work:
            (work / "x").write_bytes(bytes(1_000))
        os.utime(tmp_path / name, (time.time() - days * DAY,) * 2)
    (tmp_path / "runs" / "x").mkdir(parents=True)
    return tmp_path


def names(days: float, keep_bytes: float | None = None) -> list[str]:
    return [one.path.name for one in unused(kept(), days, keep_bytes)]


def test_what_was_used_longest_ago_goes_first(home: Path) -> None:
    assert [(one.path.name, one.size) for one in kept()] == [
        ("old", 1_000),
        ("older-than-a-month", 1_000),
        ("young", 1_000),
        ("now", 1_000),
    ]
    assert names(30) == ["old", "older-than-a-month"]
    assert names(45) == ["old"]
    assert names(100) == []
    assert names(1, 3_500) == ["old"]
    assert names(1, 1_000) == ["old", "older-than-a-month", "young"]


def test_a_result_that_was_found_again_was_used(home: Path) -> None:
    (home / "results").mkdir()
    (home / "results" / "old.json").write_text("{}")
    assert names(30) == ["older-than-a-month"]


def test_what_another_process_makes_stays(home: Path) -> None:
    (old, *_) = kept()
    with alone("old", lambda: None):
        assert not remove(old)
    assert remove(old)
    assert not old.path.exists()


def test_what_a_run_has_used_stays_as_long_as_it_lives(home: Path) -> None:
    code = "import time; from rnnlm.process import this_process; print(this_process(), flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        file = home / "processes" / running.stdout.readline().strip()
        os.utime(file, (time.time() - 45 * DAY,) * 2)  # a long run
        assert names(30) == ["old"]
        running.kill()
    assert names(30) == ["old", "older-than-a-month"]


def test_the_command_says_what_goes_and_removes_it(home: Path) -> None:
    said = CliRunner().invoke(app, ["gc", "--dry-run"]).stdout
    assert "2 of 4 outputs would go: 0.00 of 0.00 GB." in said
    assert str(home / "store" / "old") in said
    assert len(kept()) == 4
    assert "2 of 4 outputs are gone" in CliRunner().invoke(app, ["gc"]).stdout
    assert [one.path.name for one in kept()] == ["young", "now"]
    assert (home / "runs" / "x").is_dir()


def test_what_is_gone_is_made_again(
    tmp_path: Path, write_experiment: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_experiment(tmp_path)
    first = rnnlm.run("reviews.yaml", "work", progress=False)
    with working_in(tmp_path / "work"):
        for one in kept():
            assert remove(one)
        assert kept() == []
    again = rnnlm.run("reviews.yaml", "work", progress=False)
    assert [cell.metrics for cell in again.cells] == [cell.metrics for cell in first.cells]

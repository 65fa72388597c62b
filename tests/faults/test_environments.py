"""Odd environments: the same run ends in the same verdict, or in an error for people that says what to change."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import json, sys
import rnnlm
from rnnlm.errors import RnnlmError
try:
    verdict = rnnlm.run("reviews.yaml", "work", progress=False)
except RnnlmError as error:
    sys.exit(f"for people: {error}")
print(json.dumps([dict(verdict.digests), list(verdict.sentences)]))
"""


@pytest.fixture
def folder(tmp_path: Path, write_experiment: Callable[[Path], None]) -> Path:
    write_experiment(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory, write_experiment: Callable[[Path], None]) -> Any:
    folder = tmp_path_factory.mktemp("plain")
    write_experiment(folder)
    return said(run(folder))


def run(
    folder: Path, before: Callable[[], object] | None = None, **variables: str | None
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in (os.environ | variables).items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, env=environment, preexec_fn=before, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def said(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr[-3_000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("home", [None, "a b 电影", "not there"])
def test_a_home_that_is_missing_or_has_an_odd_name(folder: Path, verdict: Any, home: str | None) -> None:
    if home and home != "not there":
        (folder / home).mkdir()
    assert said(run(folder, HOME=home and str(folder / home))) == verdict


def test_a_umask_that_lets_nobody_in(folder: Path, verdict: Any) -> None:
    assert said(run(folder, before=lambda: os.umask(0o077))) == verdict
    assert not [path for path in (folder / "work").rglob("*") if path.stat().st_mode & 0o077]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit of Linux")
def test_few_open_files(folder: Path, verdict: Any) -> None:
    done = run(folder, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    assert said(done) == verdict


def test_a_clock_that_was_set_back(folder: Path, verdict: Any) -> None:
    """Everything in the workplace is then from tomorrow."""
    assert said(run(folder)) == verdict
    tomorrow = time.time() + 86_400
    for path in (folder / "work").rglob("*"):
        os.utime(path, (tomorrow, tomorrow))
    assert said(run(folder)) == verdict
    leftover = folder / "work" / "store" / ".rnnlm-old"
    leftover.mkdir()
    os.utime(leftover, (tomorrow, tomorrow))
    assert said(run(folder)) == verdict

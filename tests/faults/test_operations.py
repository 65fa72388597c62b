"""A run whose n-th file operation fails, finds the disk full, or is killed there.

It ends in an error for people, or in the undisturbed verdict; and so does the next run, always in that verdict.
`make test-faults` tries 200 operations in each way; a few of them are part of `make test`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc")
TRIED = int(os.environ.get("RNNLM_FAULTS", "6"))
KILLED = max(2, TRIED // 10)  # each needs a process of its own

pytestmark = pytest.mark.skipif(
    COMPILER is None or not sys.platform.startswith("linux"), reason="needs Linux and a C compiler"
)


class Place(NamedTuple):
    """An experiment, and a run of it without faults.

    Attributes:
        folder: Where its texts are.
        library: What makes operations fail.
        operations: How many there are in a run.
        verdict: What the run says.
    """

    folder: Path
    library: Path
    operations: int
    verdict: Any

    def numbers(self, count: int) -> list[int]:
        """Return numbers of operations, from the first to the last."""
        return sorted({1 + n * (self.operations - 1) // max(1, count - 1) for n in range(count)})


def program(folder: Path, library: Path | None, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "operations.py"), str(folder), *map(str, arguments)]
    environment = os.environ | ({"LD_PRELOAD": str(library)} if library else {})
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def results(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr[-3_000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, write_experiment: Callable[[Path], None]) -> Place:
    folder = tmp_path_factory.mktemp("operations")
    write_experiment(folder)
    library = folder / "operations.so"
    assert COMPILER
    source = str(HERE / "operations.c")
    subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", source, "-o", str(library), "-ldl"], check=True)
    (counted,) = results(program(folder, library, "count"))
    assert not counted["error"]
    assert counted["count"] > 500
    return Place(folder, library, counted["count"], counted["said"])


@pytest.mark.parametrize("how", ["once", "full"])
def test_an_operation_that_fails_changes_no_verdict(place: Place, how: str) -> None:
    found = results(program(place.folder, place.library, how, *place.numbers(TRIED)))
    assert len(found) == len(place.numbers(TRIED))
    for one in found:
        at = f"operation {one['number']}: {one['failed']}"
        assert not one["error"].startswith("not for people"), f"{at}: {one['error']}"
        assert one["said"] in (None, place.verdict), at
        assert one["after"] == place.verdict, at
    assert any(one["error"] for one in found)


def test_a_run_that_is_killed_at_an_operation_changes_no_verdict(place: Place) -> None:
    numbers = place.numbers(KILLED + 2)[1:-1]
    for number in numbers:
        killed = program(place.folder, place.library, "kill", number)
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-3_000:]
    for one in results(program(place.folder, None, "after", *numbers)):
        assert one["after"] == place.verdict, one["number"]

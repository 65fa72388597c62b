"""Whatever file of a workplace is damaged, the next run finds it, and ends with the undisturbed verdict.

`make test-faults` damages 200 files; a few of them are part of `make test`.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import rnnlm
from rnnlm import checksums

DAMAGES = int(os.environ.get("RNNLM_FAULTS", "40"))
WAYS = ("flip", "cut", "empty", "noise", "gone")


class Workplace(NamedTuple):
    """A run that is done, and what its verdict says."""

    folder: Path
    said: Any


def run(folder: Path) -> Any:
    """Run the experiment, and return all of its verdict but how long it took."""
    verdict = rnnlm.run(folder / "reviews.yaml", folder / "work", progress=False)
    return verdict.digests, verdict.gains, verdict.sentences, [(cell.arm, cell.metrics) for cell in verdict.cells]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, write_experiment: Callable[[Path], None]) -> Workplace:
    folder = tmp_path_factory.mktemp("texts")
    write_experiment(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return Workplace(folder, run(folder))


def damage(file: Path, way: str, r: random.Random) -> None:
    """Damage a file. One other byte changes neither its size nor its time, as on a disk that fails."""
    before, content = file.stat(), bytearray(file.read_bytes())
    if way == "gone":
        file.unlink()
    elif way == "flip" and content:
        content[r.randrange(len(content))] ^= 1 << r.randrange(8)
        file.write_bytes(content)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif way == "noise":
        file.write_bytes(r.randbytes(len(content)))
    else:
        os.truncate(file, 0 if way == "empty" else r.randrange(len(content) + 1))


@pytest.mark.parametrize("number", range(DAMAGES))
def test_a_damaged_file_changes_no_verdict(
    number: int, workplace: Workplace, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.chdir(workplace.folder)
    work, r = workplace.folder / "work", random.Random(number)
    # Of a lock only the lock counts.
    kept = [path for path in sorted(work.rglob("*")) if path.is_file() and path.parts[len(work.parts)] not in LOCKS]
    file, way = r.choice(kept), WAYS[number % len(WAYS)]
    record_property("damage", f"{way} {file.relative_to(work)}")
    damage(file, way, r)
    checksums._seen.clear()  # as in a new process
    assert run(workplace.folder) == workplace.said, f"{way} {file}"


LOCKS = ("locks", "processes")

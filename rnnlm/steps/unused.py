"""What a workplace can do without: outputs that no run has used for long, and what was set aside as damaged."""

import contextlib
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from rnnlm.store import WORK, home

DAY = 86_400  # seconds


class Unused(NamedTuple):
    """A folder or a file that can be made again, or is of no use any more.

    Attributes:
        path: Where it is.
        size: Its bytes.
        used: When it was used last, in seconds since 1970.
    """

    path: Path
    size: int
    used: float


def kept() -> list[Unused]:
    """Return all that the workplace keeps only so that it need not be made again; what was used longest ago is first.

    Reports, downloads, databases and registered models are not among it.
    """
    folders = [home() / name for name in ("store", "mapped", "training")]
    paths = [path for folder in folders for path in folder.glob("*") if not path.name.startswith(WORK)]
    paths += (home() / "runs").glob("*/damaged-*")
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # another process has just removed it
            found.append(Unused(path, _size(path), _used(path)))
    return sorted(found, key=lambda one: one.used)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(status.st_size for status in (file.lstat() for file in files) if stat.S_ISREG(status.st_mode))


def _used(path: Path) -> float:
    """Return when an output was used last: the time of its result is set then."""
    result = home() / "results" / f"{path.name}.json"
    return max(file.lstat().st_mtime for file in (path, result) if file is path or file.exists())


def unused(everything: Sequence[Unused], days: float, keep_bytes: float | None) -> list[Unused]:
    """Return what may go.

    Args:
        everything: What `kept` returned.
        days: Outputs that were used in the last `days` days are kept.
        keep_bytes: Removing stops when no more than this many bytes are left. If None, it does not stop before the end.

    Returns:
        What was used longest ago comes first. What a run needs that goes on now is never among it: it was used after
        the run began.
    """
    before = min([time.time() - days * DAY, *_began()])
    left, may_go = sum(one.size for one in everything), []
    for one in everything:
        if one.used < before and (keep_bytes is None or left > keep_bytes):
            may_go.append(one)
            left -= one.size
    return may_go


def remove(what: Unused) -> bool:
    """Remove something, and return whether it is gone. What another process makes or has used meanwhile stays."""
    (home() / "locks").mkdir(parents=True, exist_ok=True)
    # As in `rnnlm.tokens.reader`, and in the runners of steps.
    name = f"mapped-{what.path.name}" if what.path.parent.name == "mapped" else what.path.name
    try:
        with FileLock(home() / "locks" / name, thread_local=False).acquire(blocking=False):
            if _used(what.path) > what.used:
                return False
            # The result first: nobody finds the output any more.
            (home() / "results" / f"{what.path.name}.json").unlink(missing_ok=True)
            if what.path.is_dir() and not what.path.is_symlink():
                aside = what.path.with_name(f"{WORK}{what.path.name}-gone")
                what.path.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
            else:
                what.path.unlink(missing_ok=True)
    except (Timeout, FileNotFoundError):
        return False
    return True


def _began() -> Iterator[float]:
    """Yield when each process that lives in this workplace began: it holds its file locked."""
    for file in (home() / "processes").glob("[!.]*"):
        lock = FileLock(file, thread_local=False)
        with contextlib.suppress(OSError):
            began = file.stat().st_mtime
            try:
                lock.acquire(blocking=False)
            except Timeout:
                yield began
            else:
                lock.release()

"""Where things are on disk, and how a step's output appears there: all of it or nothing."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rnnlm.errors import FullDiskError

DEPLOYMENTS = Path(__file__).resolve().parent / "deployments"  # what Prefect deploys of the flows
EXPERIMENTS = DEPLOYMENTS / "experiments"  # those that come with rnnlm
FULL = (errno.ENOSPC, errno.EDQUOT)
ALMOST_NOTHING = 1 << 20  # bytes
SUMS = "SHA256SUMS"  # the list of digests in the folder of an output
# Folders that are being written: how their names begin, and the file in them whose lock says that their process lives.
WORK, LOCK = ".rnnlm-", ".lock"


# Where a run from Python alone works. Its threads work there, too, so this is no context variable.
_working_in: list[Path] = []


def home() -> Path:
    """Return the folder of all that the workflow keeps: `$RNNLM_HOME`, or `.rnnlm` here."""
    return _working_in[-1] if _working_in else Path(os.environ.get("RNNLM_HOME") or ".rnnlm").expanduser().resolve()


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Keep what the body makes in a folder of its own, whatever the environment says."""
    _working_in.append(folder.expanduser().resolve())
    try:
        yield
    finally:
        _working_in.pop()


def sqlite_address(file: Path, driver: str = "") -> str:
    """Return the address by which SQLAlchemy opens a SQLite file, whatever its folders are called.

    Args:
        file: The file.
        driver: The driver that opens it; if empty, SQLAlchemy's own choice.
    """
    # SQLAlchemy takes the rest of an address from `?` on for options, and decodes `%20`.
    encoded = str(file).replace("%", "%25").replace("?", "%3F")
    if not driver and encoded != str(file):
        # MLflow would take what follows `sqlite:///` for a path and make its folders; not where the driver is named.
        driver = "pysqlite"
    return f"sqlite{driver and '+'}{driver}:///{encoded}"


@contextmanager
def whole_folder(final: Path, *, listed: bool = True) -> Iterator[Path]:
    """Yield a folder to write into that becomes `final` at the end, in one rename.

    If the body fails, nothing is left behind; a reader never sees half of an output. An earlier `final` stays in
    place until the new one is whole. What a process that was killed has left beside it is removed.

    Args:
        final: The folder.
        listed: Whether it gets a list of its files' digests, which `rnnlm.checksums` compares.

    Raises:
        FullDiskError: If the disk is full.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(final.parent)
    work, lock = _work_folder(final)
    try:
        yield work
        if listed:
            _list_digests(work)
        if final.exists():
            # A folder cannot be renamed onto one that is not empty: the old one steps aside first.
            old, old_lock = _work_folder(final)
            with old_lock:
                final.rename(old / "old")
                work.rename(final)
                shutil.rmtree(old)
        else:
            work.rename(final)
        # Until here it was locked: otherwise another process would take it for a leftover.
        (final / LOCK).unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise FullDiskError(str(final.parent)) from error
    finally:
        lock.release()
        shutil.rmtree(work, ignore_errors=True)


def _work_folder(final: Path) -> tuple[Path, FileLock]:
    """Make a folder beside `final`, with a file in it that this process holds locked as long as it lives."""
    while True:
        # Not by `tempfile`, whose folders are for their owner alone: an output has the rights of the user's umask.
        work = final.parent / f"{WORK}{final.name}-{uuid.uuid4().hex}"
        work.mkdir()
        lock = FileLock(work / LOCK, thread_local=False)
        try:
            lock.acquire()
        except FileNotFoundError:  # another process has taken it for a leftover
            continue
        return work, lock


def _clear_leftovers(parent: Path) -> None:
    """Remove the folders of processes that were killed: their locks are free."""
    for folder in parent.glob(f"{WORK}*/"):
        lock = FileLock(folder / LOCK, thread_local=False)
        with contextlib.suppress(Timeout, OSError):
            lock.acquire(blocking=False)
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def _list_digests(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / LOCK)
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def write_whole(file: Path, text: str) -> None:
    """Write a file in one rename: a reader sees the old content or the new one, whoever else writes it.

    Args:
        file: The file. It has the rights of the user's umask.
        text: Its new content.

    Raises:
        FullDiskError: If the disk is full.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}-{uuid.uuid4().hex}")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(file)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise FullDiskError(str(file.parent)) from error
    finally:
        new.unlink(missing_ok=True)


def read_json(file: Path) -> Any:
    """Read a small file that holds JSON.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is not a regular file of at most 64 MB, or not JSON.
    """
    status = file.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > 64_000_000:
        raise ValueError("is not a regular file, or is too large")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error


def mark_used(path: Path) -> None:
    """Set the time of a file or folder to now: `rnnlm gc` keeps what was used lately."""
    with contextlib.suppress(OSError):  # a workplace that only others may write to can be read all the same
        os.utime(path)


def made_anew(path: Path) -> str:
    """Return what a person can do about an output that is damaged, or lacks a file.

    A step whose folder is gone runs again by itself; nobody can run a step alone.

    Args:
        path: The output's folder, or a file in it.
    """
    store = home() / "store"
    place = path.resolve()
    if place.is_relative_to(store) and place != store:
        folder = store / place.relative_to(store).parts[0]
        return f"Delete the folder {folder} and run the same command again: it makes what is missing anew."
    return "Get it again from where it was copied, exported or downloaded."


def is_full(folder: Path) -> bool:
    """Return whether the disk of a folder has no room for what a run writes, down to a database's next page."""
    return folder.is_dir() and shutil.disk_usage(folder).free < ALMOST_NOTHING


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of a file's bytes; of several files, the digest of their digests in this order."""
    digests = [file_sha256(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

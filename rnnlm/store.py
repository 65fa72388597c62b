"""Where things are on disk, and how a step's output appears there: all of it or nothing."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rnnlm.errors import FullDiskError

DEPLOYMENTS = Path(__file__).resolve().parent / "deployments"  # what Prefect deploys of the flows
EXPERIMENTS = DEPLOYMENTS / "experiments"  # those that come with rnnlm
FULL = (errno.ENOSPC, errno.EDQUOT)
ALMOST_NOTHING = 1 << 20  # bytes


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
def whole_folder(final: Path) -> Iterator[Path]:
    """Yield a folder to write into that becomes `final` at the end, in one rename.

    If the body fails, nothing is left behind; a reader never sees half of an output. An earlier `final` stays in
    place until the new one is whole.

    Raises:
        FullDiskError: If the disk is full.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    try:
        yield work
        if final.exists():
            # A folder cannot be renamed onto one that is not empty: the old one steps aside first.
            old = Path(tempfile.mkdtemp(prefix=f".{final.name}-old-", dir=final.parent))
            final.rename(old / "old")
            work.rename(final)
            shutil.rmtree(old)
        else:
            work.rename(final)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise FullDiskError(str(final.parent)) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_whole(file: Path, text: str) -> None:
    """Write a file in one rename: a reader sees the old content or the new one, whoever else writes it.

    Args:
        file: The file; others may read it.
        text: Its new content.

    Raises:
        FullDiskError: If the disk is full.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
        new.chmod(0o644)
        new.replace(file)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise FullDiskError(str(file.parent)) from error
    finally:
        new.unlink(missing_ok=True)


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

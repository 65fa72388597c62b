"""Whether files are what was written: each output has the digests of its files beside them, in `SHA256SUMS`.

The format is that of `sha256sum`: `sha256sum --check SHA256SUMS` in a folder says the same. A file is read for it once
a process, and again only if its size or its time has changed. This finds damage, not forgery: whoever can write into
a folder can write its digests, too.
"""

import logging
import re
import shutil
from pathlib import Path

from rnnlm.errors import DataError
from rnnlm.store import SUMS, file_sha256, made_anew

logger = logging.getLogger("rnnlm.steps")

_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>.+)")
# Size, time and number of a file on its disk, and the digest that it had then.
_Seen = tuple[int, int, int, str]
_seen: dict[Path, _Seen] = {}


def checked(file: Path) -> Path:
    """Return a file whose bytes are those that were written, as far as its folder has a list of digests.

    A file of a folder without a list, or that is not in it, is returned as it is.

    Raises:
        DataError: If it is damaged, or gone.
    """
    digest = _digests(file.parent).get(file.name)
    problem = digest and _problem(file, digest)
    if problem:
        raise DataError(problem, where=str(file), remedy=made_anew(file))
    return file


def is_whole(folder: Path, *, listed: bool = False) -> bool:
    """Return whether an output is there, with all files as they were written.

    A damaged one is set aside under another name, with a warning, so that it can be made again.

    Args:
        folder: The folder of the output.
        listed: Whether there must be a list of digests. Earlier versions wrote none.
    """
    try:
        number = folder.stat().st_ino
    except FileNotFoundError:
        return False
    try:
        digests = _digests(folder)
        if listed and not digests:
            raise DataError("is gone", where=str(folder / SUMS))
        for name, digest in digests.items():
            if problem := _problem(folder / name, digest):
                raise DataError(problem, where=str(folder / name))
    except DataError as error:
        aside = folder.with_name(f"damaged-{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            if folder.stat().st_ino != number:  # another process has set it aside, and made it again
                return is_whole(folder, listed=listed)
            folder.rename(aside)
        except FileNotFoundError:  # another process has just done it
            return False
        except OSError as trouble:
            remedy = "Remove or rename it yourself, and run the same command again."
            raise DataError(
                f"is damaged and cannot be set aside: {trouble}", where=str(folder), remedy=remedy
            ) from error
        logger.warning("%s %s. Its folder is now %s, and is made again.", error.where, error.problem, aside)
        return False
    return True


def _digests(folder: Path) -> dict[str, str]:
    """Return the digests of a folder's files, by their path in it. If there is no list, there are none."""
    file = folder / SUMS
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=str(file), remedy=made_anew(file)) from error
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(found):
        raise DataError("has a line that is no digest of a file", where=str(file), remedy=made_anew(file))
    return {match["name"]: match["digest"] for match in found if match}


def _problem(file: Path, digest: str) -> str | None:
    """Return what is wrong with a file, or None."""
    try:
        status = file.stat()
        now = status.st_size, status.st_mtime_ns, status.st_ino, digest
        if _seen.get(file) == now:
            return None
        found = file_sha256(file)
    except FileNotFoundError:
        return "is gone"
    except OSError as error:  # a disk that cannot read it
        return f"cannot be read: {error}"
    if found != digest:
        return f"is damaged: its SHA-256 is {found[:12]}…, and was {digest[:12]}… when it was written"
    _seen[file] = now
    return None

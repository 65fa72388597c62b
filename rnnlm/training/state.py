"""Training state on disk: a training that was killed at any moment goes on from the last state that is whole.

A folder holds, for each training that uses it, its newest two states, each whole in itself:

    state-1f3870be-00000016-00001200-fedcba9876543210.safetensors
    state-1f3870be-00000017-00001234-0123456789abcdef.safetensors

The parts of a name are the training (a digest of its identity), the number of the save, the step, and the beginning
of the SHA-256 of the file's content. A file is written beside its final name, synced and renamed; as the digest is in
the name, that one rename publishes content and checksum together. Numbers of saves only go up, so that "newest" holds
for two states of one step as well, and for a training that fell back to an earlier step.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open

from rnnlm.errors import FullDiskError, StoreError
from rnnlm.store import FULL, file_sha256

Arrays = dict[str, np.ndarray]

logger = logging.getLogger("rnnlm.training")

# What a file system says that has no locks.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)
# States kept: the newest, and the one to fall back to.
KEPT = 2
# Hexadecimal digits of the content's digest in a name. 64 bits are plenty against chance, which is all that damages.
DIGITS = 16
# The types of arrays that a training has: little-endian, by NumPy's name and by that of the safetensors format.
TYPES = {
    "<f4": "F32", "<f8": "F64", "<i4": "I32", "<i8": "I64", "<u4": "U32", "<u8": "U64", "|u1": "U8", "|b1": "BOOL",
}  # fmt: skip
NAME = re.compile(
    rf"state-(?P<owner>[0-9a-f]{{8}})-(?P<number>\d+)-(?P<step>\d+)-(?P<digest>[0-9a-f]{{{DIGITS}}})"
    r"\.safetensors"
)


@dataclass(frozen=True)
class TrainingState:
    """All that a training needs to go on as if it had never stopped.

    Attributes:
        step: Updates made.
        meta: Plain JSON values: position in the data, best score, curve, sums. Floats come back exactly, infinities
            and NaN as well; tuples come back as lists, and the names in a dictionary as strings.
        arrays: Weights, best weights, averages, optimizer slots, carried states by name.
    """

    step: int
    meta: dict[str, Any]
    arrays: Arrays


class StateFolder:
    """The states of one training in a folder; whoever saves does so inside `alone`.

    States of another identity are left alone: they belong to a training with other settings or data, and whoever
    changed a setting by mistake can change it back and go on.

    Args:
        folder: Made by the first save.
        identity: Digest of all settings and data that a training depends on.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.identity = identity
        self._owner = hashlib.sha256(identity.encode()).hexdigest()[:8]
        self._damaged: set[str] = set()  # names of states that load() could not use: they do not count as kept

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from the states of this training; a process that ends in any way lets go of them.

        Raises:
            StoreError: If another process has them.
        """
        # No soft lock in its place: a killed process would leave it behind.
        lock = FileLock(self.folder / f"lock-{self._owner}", thread_local=False, fallback_to_soft=False)
        with self._errors("written"):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(blocking=False)
            except Timeout as error:
                raise StoreError(
                    "another process is at the same training.",
                    where=str(self.folder),
                    remedy="Wait for its end or stop it; then run it again.",
                ) from error
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                logger.warning("%s: files cannot be locked here; let no second process train the same.", self.folder)
        try:
            yield
        finally:
            lock.release()

    def save(self, state: TrainingState) -> float:
        """Write a state; once it is whole, remove all but the newest two.

        Costs no copy of an array that is contiguous. Whatever fails, the states before this one stay.

        Args:
            state: The state; nothing may change its arrays meanwhile.

        Returns:
            Seconds it took.

        Raises:
            FullDiskError: If the disk is full.
            StoreError: If the folder cannot be written.
            TypeError: If `meta` holds something else than JSON values, or an array is of a type not in `TYPES`.
        """
        start = time.perf_counter()
        with self._errors("written"):
            self.folder.mkdir(parents=True, exist_ok=True)
            # First of all: what a killed save left may be what fills the disk.
            for path in self.folder.iterdir():
                if path.suffix == ".tmp" and path.name.startswith(f"state-{self._owner}-"):
                    path.unlink(missing_ok=True)
            self._write(1 + max(map(_number, self._files()), default=0), state)
            # A damaged one must not push out a whole one.
            states = self._files()
            kept = [path for path in states if path.name not in self._damaged][:KEPT]
            for path in set(states) - set(kept):
                path.unlink(missing_ok=True)
        return time.perf_counter() - start

    def remove(self) -> None:
        """Remove the states of this training, and the folder if nothing else is in it."""
        with self._errors("removed"):
            for path in [*self._files(), self.folder / f"lock-{self._owner}"]:
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def load(self) -> TrainingState | None:
        """Read the newest state that is whole.

        A damaged one is passed over with a warning. Changes nothing on disk; the next save removes what was found
        damaged.

        Returns:
            The state; None if there is no whole one of this training, with a warning if there are others.

        Raises:
            StoreError: If the folder or a file cannot be read for a reason that is no damage and may pass: starting
                again from nothing would throw away what is there.
        """
        with self._errors("read"):
            states = self._files()
            for path in states:
                try:
                    state = self._read(path)
                except _DamagedError as error:
                    self._damaged.add(path.name)
                    logger.warning("%s: this training state is damaged and passed over: %s.", path, error)
                else:
                    self._damaged.discard(path.name)
                    return state
            if states:
                logger.warning("%s: no training state is whole: the training starts from the beginning.", self.folder)
            elif others := self._files(others=True):
                logger.warning(
                    "%s: this training state belongs to other settings or data: it is left alone, and the training "
                    "starts from the beginning. Remove it if nobody needs it.",
                    others[0],
                )
        return None

    def _write(self, number: int, state: TrainingState) -> None:
        """Write a state whole or not at all."""
        work = self.folder / f"state-{self._owner}-{os.getpid()}.tmp"
        metadata = {"identity": self.identity, "step": str(state.step), "meta": json.dumps(state.meta)}
        try:
            with work.open("xb") as file:
                digest = hashlib.sha256()
                for part in _content(state.arrays, metadata):
                    file.write(part)
                    digest.update(part)
                file.flush()
                os.fsync(file.fileno())
            name = f"state-{self._owner}-{number:08d}-{state.step:08d}-{digest.hexdigest()[:DIGITS]}.safetensors"
            # Path.replace is the same rename; it is atomic because both names are in one folder.
            work.replace(self.folder / name)
        finally:
            work.unlink(missing_ok=True)
        # A rename lasts only when the folder is on disk, too.
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _files(self, *, others: bool = False) -> list[Path]:
        """Return the states of this training, or of all others, the newest first; empty if there is no folder."""
        found = []
        try:
            # Not Path.glob, to which a folder that may not be read is an empty one.
            for path in self.folder.iterdir():
                match = NAME.fullmatch(path.name)
                if match and (match["owner"] != self._owner) == others:
                    found.append(path)
        except FileNotFoundError:
            return []
        return sorted(found, key=_number, reverse=True)

    def _read(self, path: Path) -> TrainingState:
        """Read a file that has the content that its name promises.

        Raises:
            _DamagedError: If it has another content, or is gone.
        """
        match = NAME.fullmatch(path.name)
        try:
            whole = match is not None and file_sha256(path)[:DIGITS] == match["digest"]
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EIO):
                raise
            raise _DamagedError(error.strerror) from error
        if not whole:
            raise _DamagedError("its content is not what was written")
        try:
            with safe_open(path, framework="np") as file:
                metadata, arrays = file.metadata(), file.get_tensors()
            # Eight digits of the identity are in the name; here are all of them.
            if metadata["identity"] != self.identity:
                raise _DamagedError("it belongs to other settings or data")
            return TrainingState(step=int(metadata["step"]), meta=json.loads(metadata["meta"]), arrays=arrays)
        except (SafetensorError, KeyError, ValueError) as error:
            raise _DamagedError(f"it is not laid out as this version lays it out ({error!r})") from error

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Turn errors of the file system into one for people."""
        try:
            yield
        except OSError as error:
            if error.errno in FULL:
                raise FullDiskError(str(self.folder)) from error
            raise StoreError(
                f"the training state cannot be {doing}: {error.strerror or error}.",
                where=str(self.folder),
                remedy="Check the folder's permissions, and run it again: the training continues from its last state.",
            ) from error


class _DamagedError(Exception):
    """A file that is not what was written."""


def _number(path: Path) -> int:
    """Return the number of the save that wrote a file."""
    match = NAME.fullmatch(path.name)
    assert match is not None
    return int(match["number"])


def _content(arrays: Arrays, metadata: dict[str, str]) -> Iterator[bytes | memoryview]:
    """Yield the parts of a safetensors file: the header's length, the header, and each array's bytes.

    Not the library's `save`, which makes two copies of all arrays, nor its `save_file`, after which the file would
    have to be read again for its digest, and which takes the wrong bytes of an array that is not contiguous.
    The format: https://huggingface.co/docs/safetensors
    """
    # The widest types first: each array then begins at a multiple of its width, whatever their lengths.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in names:
        array = arrays[name]
        if array.dtype.str not in TYPES or name in header:
            raise TypeError(f"array {name!r} of type {array.dtype} cannot be part of a training state")
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": TYPES[array.dtype.str], "shape": array.shape, "data_offsets": (begin, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for name in names:
        yield np.asarray(arrays[name], order="C").reshape(-1).view(np.uint8).data

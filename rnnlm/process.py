"""Which processes of this workplace live: what one has begun and not ended, another one can see and clear up.

Each has a file of its own that it holds locked. The system frees the lock however the process ends, so a file that can
be locked is that of a dead one. Nothing is asked of process numbers, which are given again.
"""

import contextlib
import fcntl
import functools
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from rnnlm.store import home


def this_process() -> str:
    """Give the name of this process, in this workplace."""
    return _name(home() / "processes", os.getpid())


@functools.cache
def _name(folder: Path, _: int) -> str:
    # A forked child has another number, and so a name and a lock of its own.
    folder.mkdir(parents=True, exist_ok=True)
    name = uuid.uuid4().hex
    # Locked before it has its name: nobody may take it for a dead one's in between.
    new = folder / f".{name}"
    # Never closed: the system does that when the process ends.
    fcntl.flock(os.open(new, os.O_CREAT | os.O_RDWR), fcntl.LOCK_EX)
    new.rename(folder / name)
    return name


@contextlib.contextmanager
def dead_processes() -> Iterator[set[str]]:
    """Give the names of processes that have ended; if all goes well, they are forgotten then."""
    names, locked = set[str](), list[IO[str]]()
    folder = home() / "processes"
    try:
        for file in folder.glob("[!.]*"):
            with contextlib.suppress(FileNotFoundError):
                opened: IO[str] = file.open()
                try:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    opened.close()
                else:
                    locked.append(opened)
                    names.add(file.name)
        yield names
        for name in names:
            (folder / name).unlink(missing_ok=True)
    finally:
        for opened in locked:
            opened.close()


@contextlib.contextmanager
def alone(name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Do something that only one process of the workplace does at a time; the system frees the lock after a kill too.

    Args:
        name: What is done.
        waiting: Called, once, where another one is at it.
    """
    folder = home() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""Which processes of this workplace live: what one has begun and not ended, another one can see and clear up.

Each has a file of its own that it holds locked. The system frees the lock however the process ends, so a file that can
be locked is that of a dead one. Nothing is asked of process numbers, which are given again.
"""

import contextlib
import functools
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from rnnlm.store import home


def this_process() -> str:
    """Return the name of this process, in this workplace."""
    return Path(_lock(home() / "processes", os.getpid()).lock_file).name


@functools.cache
def _lock(folder: Path, _: int) -> FileLock:
    # A forked child has another number, and so a name and a lock of its own. Kept for as long as the process lives: a
    # lock that nobody refers to is released.
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / uuid.uuid4().hex, thread_local=False)
    # Another process may take the new file for a dead one's, and remove it, before it is locked: it is made again then.
    lock.acquire()
    return lock


@contextlib.contextmanager
def dead_processes() -> Iterator[set[str]]:
    """Return the names of processes that have ended; if all goes well, they are forgotten then."""
    dead = dict[Path, FileLock]()
    try:
        for file in (home() / "processes").glob("[!.]*"):
            lock = FileLock(file, thread_local=False)
            with contextlib.suppress(Timeout):
                lock.acquire(blocking=False)
                dead[file] = lock
        yield {file.name for file in dead}
        for file, lock in dead.items():
            lock.release()  # Windows removes no file that is open
            file.unlink(missing_ok=True)
    finally:
        for lock in dead.values():
            lock.release()


@contextlib.contextmanager
def alone(name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Do something that only one process of the workplace does at a time; the system frees the lock after a kill too.

    Args:
        name: What is done.
        waiting: Called, once, where another one is at it.
    """
    folder = home() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / name, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

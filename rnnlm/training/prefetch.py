"""Prepares the next batch while this one trains."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

DEPTH = 2  # batches prepared ahead: one would do if all steps took the same time


class Prefetch(Generic[T]):
    """Iterates over batches that a thread prepares; to be used with `with`, so that the thread ends.

    Args:
        batches: Where the batches come from; an error in it is raised where the batch was due.

    Attributes:
        waited: Seconds that the training has waited for batches.
    """

    def __init__(self, batches: Iterator[T]) -> None:
        self.waited = 0.0
        self._batches = batches
        self._ready: queue.Queue[T | None] = queue.Queue(DEPTH)
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._prepare, name="prefetch", daemon=True)

    def __enter__(self) -> "Prefetch[T]":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while True:
            began = time.perf_counter()
            batch = self._ready.get()
            self.waited += time.perf_counter() - began
            if batch is None:
                if self._error is not None:
                    raise self._error
                return
            yield batch

    def _prepare(self) -> None:
        try:
            for batch in self._batches:
                if not self._put(batch):
                    return
        except BaseException as error:
            self._error = error
        self._put(None)

    def _put(self, batch: T | None) -> bool:
        """Hand over a batch; give up when the training has stopped."""
        while not self._stopped.is_set():
            try:
                self._ready.put(batch, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

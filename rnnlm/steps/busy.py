"""How many cores a step keeps busy."""

import os
import time


class BusyCores:
    """Counts from now on. Threads of this process count, and processes that it started and that have ended."""

    def __init__(self) -> None:
        self._began, self._worked = time.perf_counter(), _processor_seconds()

    def mean(self) -> float:
        """Return how many cores were busy on average."""
        return (_processor_seconds() - self._worked) / max(time.perf_counter() - self._began, 1e-9)


def _processor_seconds() -> float:
    of_others = os.times()
    return time.process_time() + of_others.children_user + of_others.children_system

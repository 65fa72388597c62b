"""The signals that end a process."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # what ends a process that does not say otherwise
ONCE = 1.0  # seconds in which signals count as one


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[list[int]]:
    """Let the signals that end a process end it as Ctrl-C does, so that what it has started does not go on alone.

    A second one, while it is ending, ends it at once. So the process has to end after a signal: the handlers stay.

    Returns:
        A list that gets the number of the signal that came.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came  # signals are the main thread's
        return
    first = 0.0

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal first
        if not came:
            first = time.monotonic()
            came.append(number)
            raise KeyboardInterrupt
        # `timeout` and some supervisors signal a process and its group, which is twice.
        if time.monotonic() - first > ONCE:
            if sys.stdout.isatty():
                os.write(1, b"\x1b[?25h\n")  # a bar has hidden the cursor
            os._exit(128 + number)

    # SIGINT too: a shell without job control starts background processes with SIGINT ignored. Under `nohup`, which has
    # SIGHUP ignored, the process is meant to go on.
    ends = [number for number in ENDING if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in ends}
    try:
        yield came
    finally:
        # Once a signal came, the process ends. The second of two may be on its way still: it must not kill it before.
        if not came:
            for number, handler in before.items():
                if signal.getsignal(number) is interrupt:  # and not what another signal has left
                    signal.signal(number, handler)

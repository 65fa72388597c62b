"""Run a module as `python -m` does, and end it, with all that it has started, as soon as its parent has ended.

python -m rnnlm.stack.attached MODULE [ARGUMENT]…

The parent holds the other end of standard input. The system closes that end however the parent dies.
"""

import os
import runpy
import signal
import sys
import threading
import time

STOP_SECONDS = 10.0


def main() -> None:
    """Run the module that the command line names."""
    # Its own group, and so that of its children; a signal to the group must not reach anybody else.
    assert os.getpgrp() == os.getpid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    # Not sys.stdin: its lock, held by this thread, would crash the interpreter at its end.
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()

"""A function in a process of its own: for native calls that last for minutes, or for modules that load for seconds.

Python sees a signal only between its own instructions: a native call in this process would first run to its end. A
process beside it can be killed at any time, and it ends by itself when this one is gone, however that came.
"""

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import ParamSpec

from rnnlm.errors import RnnlmError, TrainingError
from rnnlm.store import home

P = ParamSpec("P")


def apart(function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a function of a module in a process of its own, and wait for it; an exception ends it at once.

    Args:
        function: The function; what it makes, it writes to files.
        args: Its arguments.
        kwargs: Its named arguments.

    Raises:
        RnnlmError: As the function raises it.
        TrainingError: If the process was killed.
        RuntimeError: If it failed otherwise; its traceback is on stderr.
    """
    with beside(function, *args, **kwargs) as wait:
        wait()


@contextlib.contextmanager
def beside(function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> Iterator[Callable[[], None]]:
    """Call a function of a module in a process of its own while this one does something else.

    The process ends where the `with` block does. The arguments are those of `apart`.

    Returns:
        What waits for the function's end, and raises what `apart` raises.
    """
    # Wherever this process finds its modules, the new one finds them too.
    path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)  # noqa: PTH100  ('' is the working directory)
    with subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path, "RNNLM_HOME": str(home())},
        # Ctrl-C is for this process alone, which then kills the other.
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        try:
            pickle.dump((function, args, kwargs), process.stdin)
            process.stdin.flush()
            # stdin stays open meanwhile: its end is what tells the process that this one is gone.
            yield lambda: _wait(process, function.__name__)
        finally:
            process.kill()


def _wait(process: "subprocess.Popen[bytes]", name: str) -> None:
    assert process.stdout is not None
    answer = process.stdout.read()
    if answer:
        error: RnnlmError | None = pickle.loads(answer)  # noqa: S301  (our own process wrote it)
        if error is not None:
            raise error
        return
    process.wait()
    if process.returncode < 0:
        raise TrainingError(
            f"the process of {name} was killed (signal {-process.returncode})",
            remedy="Most often there was too little memory: try it with less text.",
        )
    raise RuntimeError(f"{name} failed; see the traceback of its process")


def _main() -> None:
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what somebody prints is no part of the answer
    with os.fdopen(os.dup(0), "rb") as request:
        function, args, kwargs = pickle.load(request)  # noqa: S301  (our own process wrote it)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    error = None
    try:
        function(*args, **kwargs)
    except RnnlmError as raised:
        error = raised
    with answer:
        pickle.dump(error, answer)


def _end_with_parent() -> None:
    os.read(0, 1)  # not by sys.stdin: the interpreter could not end while a thread waits in there
    os._exit(1)


if __name__ == "__main__":
    _main()

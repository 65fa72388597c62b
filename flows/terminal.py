"""What the commands share at the terminal: errors for people, and texts that come in."""

import contextlib
import itertools
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from rnnlm.errors import FullDiskError, RnnlmError
from rnnlm.store import FULL, home, is_full

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # what ends a process that does not say otherwise

Traceback = Annotated[bool, typer.Option("--traceback", help="Show where in the code an error arose.")]


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let the signals that end a process end it as Ctrl-C does, so that what it has started does not go on alone."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell without job control starts background processes with SIGINT ignored. Under `nohup`, which has
    # SIGHUP ignored, the process is meant to go on.
    ends = [number for number in ENDING if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def errors_for_people(traceback: bool) -> Iterator[None]:
    """End with one message on stderr and exit code 1 where a person can mend it; other errors are ours, and pass."""
    try:
        with interrupted_by_signals():
            yield
    except KeyboardInterrupt:
        typer.echo("Interrupted; finished steps are kept.", err=True)
        raise typer.Exit(130) from None
    except (RnnlmError, OSError) as error:
        if traceback:
            raise
        typer.echo(f"Error: {_explain(error)}", err=True)
        raise typer.Exit(1) from None
    except Exception:
        # Prefect's server cannot write either, and its client then fails in some way of its own.
        if traceback or not is_full(home()):
            raise
        typer.echo(f"Error: {FullDiskError(str(home()))}", err=True)
        raise typer.Exit(1) from None


def _explain(error: RnnlmError | OSError) -> str:
    if isinstance(error, RnnlmError) or error.errno is None:
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in FULL:
        return str(FullDiskError(error.filename or str(home())))
    return f"{where}{error.strerror}."


@contextlib.contextmanager
def native_messages_held() -> Iterator[None]:
    """Hold back what native libraries write to stderr as they start: none of TensorFlow's variables silences it.

    If the start fails for a reason that no person can mend, it is shown after all.
    """
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException as error:
            held.seek(0)
            if not isinstance(error, RnnlmError):
                os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def lines(given: list[str] | None, file: Path | None) -> Iterator[str]:
    """Give the texts of a command: its arguments, else the lines of a file, else those of standard input."""
    if given:
        yield from given
    elif file is not None:
        with file.open(encoding="utf-8", errors="replace") as opened:
            yield from (line.rstrip("\n") for line in opened)
    else:
        yield from (line.rstrip("\n") for line in typer.get_text_stream("stdin", "utf-8", "replace"))


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Give texts as many at a time as are worth computing together; to one who types, an answer to each."""
    at_once, rest = 1 if sys.stdin.isatty() else 256, iter(texts)
    while batch := list(itertools.islice(rest, at_once)):
        yield batch

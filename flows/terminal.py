"""What the commands share at the terminal: errors for people, and texts that come in."""

import contextlib
import errno
import itertools
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from rnnlm.errors import DataError, RnnlmError

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


def _explain(error: RnnlmError | OSError) -> str:
    if isinstance(error, RnnlmError) or error.errno is None:
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}the disk is full. Free some space and run the same command again; finished steps are kept."
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


def texts(
    given: list[str] | None, file: Path | None, encoding: str = "auto", column: str | None = None
) -> Iterator[str]:
    """Return the texts of a command: its arguments, else those of a file, else the lines of standard input.

    Args:
        given: The arguments.
        file: The file.
        encoding: The encoding of the file, or of standard input.
        column: Column of the text, where the file is a table; None: it is read by line, whatever it is.

    Raises:
        DataError: If the file, or standard input, is no text.
    """
    from rnnlm.corpus.texts import lines_from, lines_of, texts_of

    if given:
        yield from given
        return
    try:
        if file is None:
            yield from lines_from(typer.get_binary_stream("stdin"), "standard input", encoding)
        elif column is None:
            yield from lines_of(file, encoding)
        else:
            yield from texts_of(file, column, encoding)
    except DataError as error:
        # An experiment has fields where these commands have options.
        remedy = re.sub(r"`encoding: (\S+)`", r"`--encoding \1`", error.remedy).partition(" If the first row is")[0]
        remedy = remedy.replace("in the corpus's field `text`", "by `--column`")
        raise DataError(error.problem, where=error.where, remedy=remedy) from error


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Give texts as many at a time as are worth computing together; to one who types, an answer to each."""
    at_once, rest = 1 if sys.stdin.isatty() else 256, iter(texts)
    while batch := list(itertools.islice(rest, at_once)):
        yield batch

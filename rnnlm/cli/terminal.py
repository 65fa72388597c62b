"""What the commands share at the terminal: errors for people, and texts that come in."""

import contextlib
import itertools
import os
import re
import select
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from rnnlm.errors import DataError, FullDiskError, RnnlmError, StoreError
from rnnlm.model.native import load_tensorflow_quietly
from rnnlm.signals import interrupted_by_signals
from rnnlm.store import FULL, home, is_full

T = TypeVar("T")

Log = Annotated[bool, typer.Option("--log", help="Print a plain line for each event, as into a pipe.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show where in the code an error arose.")]


class Unread(KeyboardInterrupt):
    """Nobody reads any more what is printed, as after `| head`: an interrupt, so that no step is tried again."""


@contextlib.contextmanager
def errors_for_people(traceback: bool) -> Iterator[None]:
    """End with one message on stderr and exit code 1 where a person can fix it; other errors are ours, and pass.

    A signal ends it with 128 and its number: 130 for Ctrl-C, 143 for SIGTERM; the reader's end of a pipe with 141.
    """
    came: list[int] = []
    if not traceback:
        load_tensorflow_quietly()
    try:
        with interrupted_by_signals() as came:
            yield
    except Unread:
        _end_unread()
    except KeyboardInterrupt:
        typer.echo("Interrupted; finished steps are kept.", err=True)
        raise typer.Exit(128 + (came[0] if came else signal.SIGINT)) from None
    except (RnnlmError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            _end_unread()
        if traceback:
            raise
        typer.echo(f"Error: {_explain(error)}", err=True)
        raise typer.Exit(1) from None
    except Exception as error:
        if traceback or not (explained := _of_the_server(error)):
            raise
        typer.echo(f"Error: {explained}", err=True)
        raise typer.Exit(1) from None


def _of_the_server(error: BaseException | None) -> StoreError | None:
    """Return what Prefect's client fails of where its server is away or cannot write; None if it is something else."""
    if is_full(home()):
        return FullDiskError(str(home()))
    httpx = sys.modules.get("httpx")  # whoever has loaded it may have raised it
    while httpx and error is not None:
        if isinstance(error, httpx.TransportError) and _asked(error).startswith(os.environ.get("PREFECT_API_URL", "-")):
            return StoreError(
                f"Prefect's server does not answer any more ({str(error) or type(error).__name__})",
                remedy="Finished steps and states of trainings are kept: start the server, and run the command again.",
            )
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _asked(error: Any) -> str:
    """Return the address that an error of httpx is about."""
    try:
        return str(error.request.url)
    except RuntimeError:  # it is about none
        return ""


def _nobody_reads() -> bool:
    """Whether stdout is a pipe without a reader. Another pipe may be broken, that of a connection to a server."""
    stdout = select.poll()
    stdout.register(1, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in stdout.poll(0))


def _end_unread() -> NoReturn:
    # The interpreter writes the rest of the buffer as it ends, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    raise typer.Exit(128 + signal.SIGPIPE) from None


def _explain(error: RnnlmError | OSError) -> str:
    if isinstance(error, RnnlmError) or error.errno is None:
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in FULL:
        return str(FullDiskError(error.filename or str(home())))
    return f"{where}{error.strerror}."


def texts(
    given: list[str] | None,
    file: Path | None,
    encoding: str = "auto",
    column: str | None = None,
    *,
    in_words: bool = False,
) -> Iterator[Any]:
    """Yield the texts of a command: its arguments, else those of a file, else the lines of standard input.

    Args:
        given: The arguments.
        file: The file.
        encoding: The encoding of the file, or of standard input.
        column: Column of the text, where the file is a table; None: it is read by line, whatever it is.
        in_words: Whether texts that the file cuts into words are tuples of these.

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
            yield from texts_of(file, column, encoding, in_words=in_words)
    except DataError as error:
        # An experiment has fields where these commands have options.
        remedy = re.sub(r"`encoding: (\S+)`", r"`--encoding \1`", error.remedy).partition(" If the first row is")[0]
        remedy = remedy.replace("in the corpus's field `text`", "by `--column`")
        raise DataError(error.problem, where=error.where, remedy=remedy) from error


def batches(texts: Iterable[T]) -> Iterator[list[T]]:
    """Yield texts, as many at a time as are worth computing together; to one who types, an answer to each."""
    at_once, rest = 1 if sys.stdin.isatty() else 256, iter(texts)
    while batch := list(itertools.islice(rest, at_once)):
        yield batch

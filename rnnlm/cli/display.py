"""What a command shows of the work that it does: a picture that changes at a terminal, lines elsewhere."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator

import typer

from rnnlm.cli.terminal import Unread
from rnnlm.display.work import Stage, Work, cell, warnings_to
from rnnlm.refs import ScoreRef
from rnnlm.stack.temporary import ensure_server
from rnnlm.steps.observe import observed_by

SECONDS_BETWEEN = 10.0  # lines of one progress


@contextlib.contextmanager
def flow_shown(log: bool, traceback: bool) -> Iterator[None]:
    """Show what a flow does; Prefect's server is there then, and Prefect can be imported.

    The environment must be prepared.

    Args:
        log: Lines at a terminal too.
        traceback: Nothing but what Prefect and the libraries log by themselves.
    """
    with work_shown(log, traceback):
        if traceback:
            ensure_server()
        else:
            os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
            ensure_server()
            _silence_prefect()
        yield


@contextlib.contextmanager
def work_shown(log: bool, traceback: bool) -> Iterator[None]:
    """Show what happens meanwhile.

    Args:
        log: Lines at a terminal too.
        traceback: Nothing but what the libraries log by themselves.
    """
    if traceback:
        yield
        return
    # Imported here: `rnnlm --help` needs none of it.
    from rnnlm.display.screen import Screen

    at_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not log
    with Screen() if at_terminal else Lines() as shown, observed_by(shown), warnings_to(shown):
        yield


def _silence_prefect() -> None:
    """Take Prefect's log from the terminal; its pages still have it."""
    # For the processes that a task runner starts: each sets its own handlers.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    import prefect.main  # noqa: F401  (sets the handlers)
    from prefect.logging.handlers import PrefectConsoleHandler

    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            # Not removed: Prefect would set all of them anew.
            handler.addFilter(lambda _: False)


class Lines(Work):
    """Prints a line for each event."""

    def __enter__(self) -> "Lines":
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End; nothing is left to do."""

    def warn(self, message: str) -> None:
        """Print it on stderr."""
        typer.echo(f"Warning: {message}", err=True)

    def step_began(self, name: str) -> None:
        """Print that the stage begins, at its first step."""
        if not (self.stage.done or self.stage.running):
            self._say(f"{self.stage.name} begins")
        super().step_began(name)

    def step_ended(self, name: str, result: object, cached: bool) -> None:
        """Print a cell's score."""
        super().step_ended(name, result, cached)
        if isinstance(result, ScoreRef):
            arm, which, scores, seconds = cell(result)
            what = ", ".join(text for text in (arm, which) if text)
            self._say(f"{self.stage.name}: {what}: {scores}, {'from the cache' if cached else seconds}")

    def progressed(self, name: str, done: int, of: int, rate: str = "") -> None:
        """Print it, if the last line is some time ago."""
        from rnnlm.report.words import duration

        super().progressed(name, done, of, rate)
        if self.stage.progress is None or time.monotonic() - self._said < SECONDS_BETWEEN:
            return
        remaining = self.stage.progress.remaining()
        parts = [f"{done:,} of {of:,}", f"{done / max(1, of):.0%}", rate]
        parts += [f"{duration(remaining)} left"] if remaining is not None else []
        self._say(f"{self.stage.name}: {name}: {', '.join(part for part in parts if part)}")

    def stage_ended(self, name: str, seconds: float) -> None:
        """Print what it has made, and how long it took."""
        if not self.stage.did_nothing(seconds):
            made = "" if self.stage.cells else self.stage.detail
            self._say(f"{name}: done, {f'{made}, ' if made else ''}{self.stage.took(seconds)}")
        self.stage = Stage("")

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        try:
            typer.echo(f"{time.strftime('%H:%M:%S')}  {text}")
        except BrokenPipeError:
            raise Unread from None

    _said = 0.0

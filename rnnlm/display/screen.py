"""A run at a terminal: what is done, and below it a bar of what runs now."""

import sys
import time
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from rnnlm.display.work import Stage, Work, cell

NAME = 26  # columns of a stage's name
BAR = 20  # columns of a bar
CELLS = 10  # cells of the stage that are seen while it runs; all are when it is done


def terminal(**settings: Any) -> Console:
    """Return a console that shows text as it is: what looks like markup is somebody's text."""
    return Console(highlight=False, markup=False, emoji=False, **settings)


class Screen(Work):
    """Shows the run in place; to be used with `with`, so that the terminal is as before."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console or terminal()
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            self,
            console=self.console,
            refresh_per_second=8,
            transient=True,
            # What goes into a file is none of the terminal's business.
            redirect_stderr=sys.stderr.isatty(),
        )

    def __enter__(self) -> "Screen":
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave on the screen what is finished."""
        unfinished, self.stage = self.stage, Stage("")
        if unfinished.cells:
            self.console.print(_cells(unfinished))
        self._live.stop()

    def warn(self, message: str) -> None:
        """Print it above the bar."""
        self.console.print(f"! {message}", style="yellow")

    def stage_ended(self, name: str, seconds: float) -> None:
        """Print it above the bar, with all of its cells."""
        ended, self.stage = self.stage, Stage("")
        if ended.did_nothing(seconds):
            return
        made = f"{len(ended.cells)} models" if ended.cells else ended.detail
        self.console.print(_row(Text("✓", style="green"), name, made, ended.took(seconds)))
        if ended.cells:
            self.console.print(_cells(ended))

    def __rich__(self) -> RenderableType:
        """Return the present stage and how far it is."""
        stage = self.stage
        if not stage.name:
            return Text("")
        made = f"{stage.done} of {stage.ahead}" if stage.ahead else ""
        parts: list[RenderableType] = [_row(self._spinner, stage.name, made, _clock(time.monotonic() - stage.began))]
        if stage.cells:
            parts.append(_cells(stage, CELLS))
        if stage.running or stage.progress:
            parts.append(_bar(stage, self.console.width))
        return Group(*parts)


def _row(sign: RenderableType, name: str, made: str, took: str) -> Table:
    row = Table.grid(padding=(0, 1), expand=False)
    row.add_column(width=1)
    row.add_column(width=NAME, no_wrap=True)
    row.add_column(width=36, no_wrap=True, style="dim")
    row.add_column(no_wrap=True, style="dim")
    row.add_row(sign, name, made, took)
    return row


def _cells(stage: Stage, most: int | None = None) -> RenderableType:
    rows = Table.grid(padding=(0, 2))
    for column in range(4):
        rows.add_column(no_wrap=True, style="dim" if column == 3 else "")
    shown = stage.cells[-most:] if most else stage.cells
    for one in shown:
        rows.add_row(*cell(one))
    return Padding(rows, (0, 0, 0, 4))


def _bar(stage: Stage, width: int) -> RenderableType:
    progress = stage.progress
    others = len(stage.running) - 1
    name = progress.name if progress else stage.running[0] if stage.running else ""
    if others > 0:
        name += f" and {others} more"
    bar, said = ProgressBar(pulse=True, width=BAR, pulse_style="cyan"), ""
    # How long the rest takes (evaluations, or what tells nothing) is not known.
    if progress is not None and progress.done < progress.of:
        bar = ProgressBar(total=progress.of, completed=progress.done, width=BAR, complete_style="cyan")
        left = progress.remaining()
        parts = [
            f"{progress.done / progress.of:.0%}",
            f"{_clock(left)} left" if left is not None else "",
            progress.rate,
        ]
        said = "  ".join(part for part in parts if part)
    row = Table.grid(padding=(0, 1))
    row.add_column(no_wrap=True)
    row.add_column(width=BAR)
    row.add_column(no_wrap=True, style="dim")
    # Where there is little room, the name is cut, and not the time left.
    shown = Text(name)
    shown.truncate(max(12, width - len(said) - BAR - 6), overflow="ellipsis")
    row.add_row(shown, bar, said)
    return Padding(row, (0, 0, 0, 4))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

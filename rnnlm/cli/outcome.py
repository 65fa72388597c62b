"""What a run ends with at the terminal: the verdict, and every arm in a table."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from rnnlm.display.screen import terminal
from rnnlm.evaluation.verdict import Verdict
from rnnlm.refs import ReportRef
from rnnlm.report import words
from rnnlm.report.answer import answer_of
from rnnlm.report.summary import summaries
from rnnlm.steps.compare import read_verdict
from rnnlm.targets import TARGETS, measure_of

if TYPE_CHECKING:
    from rnnlm.steps.planned import Planned

COLOURS = {"positive": "green", "negative": "red"}
WIDE = 160  # columns of what goes into a file or a pipe


def print_verdict(report: ReportRef) -> None:
    """Print a report's verdict: the answer, the arms with what each gains over scratch, and what else to know."""
    verdict = read_verdict(report)
    answer = answer_of(verdict)
    typer.echo()
    _say(answer.warnings, "bold red")
    said = [statement.text for statement in answer.answers]
    _say(said[:1], "bold")
    _say(said[1:])
    for task in words.KINDS:
        table = arms(verdict, task)
        if not table.row_count:
            continue
        print_table(table)
    typer.echo()
    _say(answer.notes)
    typer.echo()


def _say(sentences: Sequence[str], style: str = "") -> None:
    """Print sentences, at a terminal in a style."""
    for sentence in sentences:
        if sys.stdout.isatty():
            terminal().print(Text(sentence, style=style))
        else:
            typer.echo(sentence)


def print_plan(planned: Sequence["Planned"], looks: Sequence[int] = ()) -> None:
    """Print every training of a run, what it needs, and how long what is still to be done will take.

    Args:
        planned: The trainings.
        looks: Numbers of seeds at which it is decided whether more follow; empty if their number is fixed.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("training", no_wrap=True)
    table.add_column("needs")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in planned:
        done = one.took is not None
        seconds = one.took if one.took is not None else one.estimate
        took = words.duration(seconds) if done and seconds is not None else ""
        if not done and seconds is not None:
            took = f"about {words.duration(seconds)}"
        said = Text("done", style="dim") if done else Text("to do", style="green")
        table.add_row(one.name, "; ".join(one.needs), took, said)
    typer.echo()
    print_table(table)
    typer.echo()
    typer.echo(time_left(planned))
    if looks and any(one.took is None for one in planned):
        typer.echo(f"More may follow: seeds are added while a comparison is open, up to {looks[-1]}.")


def time_left(planned: Sequence["Planned"]) -> str:
    """Say how much of a plan is left to do, and how long that will take."""
    left = [one for one in planned if one.took is None]
    if not left:
        return f"All {len(planned):,} trainings are done: a run takes them from the cache."
    known = [one.estimate for one in left if one.estimate is not None]
    said = f"{len(left):,} of {len(planned):,} trainings are to be done"
    if not known:
        return f"{said}. How long they take is not known: none like them has run here."
    about = f"{said}, in about {words.duration(sum(known))}, by what trainings took here"
    unknown = len(left) - len(known)
    return f"{about}; {unknown:,} of them are not in this estimate." if unknown else f"{about}."


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal is."""
    if sys.stdout.isatty():
        terminal().print(table)
        return
    # Without a terminal's width nothing is cut, and no line ends in spaces.
    wide = terminal(width=WIDE, no_color=True, force_terminal=False)
    with wide.capture() as text:
        wide.print(table)
    typer.echo("\n".join(line.rstrip() for line in text.get().rstrip().splitlines()))


def arms(verdict: Verdict, task: str) -> Table:
    """Return the arms of a task with their scores and gains."""
    metric = measure_of(task).name
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    with_labels = task in TARGETS
    if with_labels:
        table.add_column("labels", justify="right", no_wrap=True)
    table.add_column(words.task(task), no_wrap=True)
    table.add_column(words.metric(metric), no_wrap=True, justify="right")
    table.add_column("gain over scratch [95 %]", no_wrap=True, justify="right")
    table.add_column("", no_wrap=True)
    above = 0
    for row in summaries(verdict, task):
        if with_labels and above and row.labels != above:
            table.add_section()
        labels = [words.labels(verdict, row.labels) if row.labels != above else ""] if with_labels else []
        above = row.labels
        outcome = row.gain.outcome if row.gain else ""
        gain = Text(words.gain(row.gain) if row.gain else "", style=COLOURS.get(outcome, ""))
        said = Text(words.outcome(row.gain) if row.gain else "", style=COLOURS.get(outcome, "dim"))
        table.add_row(*labels, words.arm(row.arm), row.score(metric), gain, said)
    return table

"""What is estimated before training, at the terminal."""

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from rnnlm.cli.outcome import print_table
from rnnlm.evaluation.outlook import Estimate
from rnnlm.evaluation.source_ranking import SourceRanking
from rnnlm.evaluation.verdict import Interval


def print_estimate(estimate: Estimate) -> None:
    """Print an estimate in words, and what it rests on."""
    typer.echo()
    typer.echo(estimate.sentence)
    typer.echo()
    rows = estimate.rows
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        typer.echo(f"{name:<{width}}  {text}")
    typer.echo()


def print_ranking(ranking: SourceRanking) -> None:
    """Print several sources, the best first."""
    typer.echo()
    typer.echo(ranking.sentence)
    typer.echo()
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("source", no_wrap=True)
    table.add_column("it helps", no_wrap=True)
    table.add_column("bits per character", no_wrap=True, justify="right")
    table.add_column("more than the best [95 %]", no_wrap=True, justify="right")
    table.add_column("saved by the source [95 %]", no_wrap=True, justify="right")
    table.add_column("target tokens it has", no_wrap=True, justify="right")
    for source in ranking.sources:
        found = source.estimate
        table.add_row(
            source.name,
            found.outlook,
            f"{source.bits:.3f}",
            _interval(source.behind) if source.behind else "",
            _interval(found.saved),
            f"{found.known_tokens:.1%}",
        )
    print_table(table)
    typer.echo()


def _interval(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"

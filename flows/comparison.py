"""Finished runs side by side. No flow: it only reads what the runs have left."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnlm import registry
from rnnlm.errors import ConfigError
from rnnlm.report.side_by_side import (
    Compared,
    read_verdict,
    side_by_side,
    terminal,
    write_side_by_side,
)
from rnnlm.store import home, whole_folder
from rnnlm.tracking.mlflow import finished_run

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class SideBySideFiles:
    """Where the page is, and the tables.

    Attributes:
        path: The folder of `side-by-side.html`.
        text: The tables for a terminal.
    """

    path: Path
    text: str


def compare_runs(names: Sequence[str]) -> SideBySideFiles:
    """Put finished runs side by side.

    Args:
        names: Ids of runs in MLflow, or names of experiments: the latest finished run of each.

    Raises:
        ConfigError: If there are not two different runs at least, or more than there are letters.
        DataError: If there is no such run, it has not finished, or has no verdict that can be read.
        StoreError: If MLflow does not answer.
    """
    registry.check_store()
    finished = [finished_run(name) for name in names]
    if not 1 < len({run.run_id for run in finished}) == len(finished) <= len(LETTERS):
        raise ConfigError(
            f"a comparison takes 2 to {len(LETTERS)} different runs, these are {len({run.run_id for run in finished})}",
            remedy="Name runs by their ids in MLflow; an experiment's name means its latest finished run.",
        )
    runs = [
        Compared(letter, run.run_id, run.started, read_verdict(run.verdict, name))
        for letter, run, name in zip(LETTERS, finished, names, strict=False)
    ]
    found = side_by_side(runs, home() / "store")
    final = home() / "side-by-side" / "-".join(run.run_id[:8] for run in finished[:6])
    with whole_folder(final) as folder:
        write_side_by_side(found, folder)
    return SideBySideFiles(final, terminal(found))

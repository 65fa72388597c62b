"""Means of a verdict's cells over seeds."""

import statistics
from dataclasses import dataclass

from rnnlm.evaluation.verdict import Cell, Gain, Verdict
from rnnlm.report import words
from rnnlm.targets import TARGETS


@dataclass(frozen=True)
class Summary:
    """One arm at one label count, over its seeds.

    Attributes:
        task: What the models do.
        arm: The arm.
        labels: The label count; 0 for a language model.
        cells: Its cells, by seed.
        gain: Its gain over scratch. None for scratch itself.
    """

    task: str
    arm: str
    labels: int
    cells: tuple[Cell, ...]
    gain: Gain | None

    def values(self, metric: str) -> list[float]:
        """Return the value of a metric for each seed that has it."""
        return [cell.metrics[metric] for cell in self.cells if metric in cell.metrics]

    def mean(self, metric: str) -> float | None:
        """Return the mean over seeds. None if no seed has the metric."""
        values = self.values(metric)
        return statistics.fmean(values) if values else None

    def spread(self, metric: str) -> float | None:
        """Return the standard deviation over seeds. None if there are fewer than two."""
        values = self.values(metric)
        return statistics.stdev(values) if len(values) > 1 else None

    @property
    def seconds(self) -> float:
        """Mean wall-clock time of a cell over seeds."""
        return statistics.fmean(cell.seconds for cell in self.cells)

    @property
    def seconds_in_all(self) -> float:
        """The same, including the models that the cell starts from."""
        return statistics.fmean(cell.seconds + cell.seconds_before for cell in self.cells)

    def score(self, metric: str) -> str:
        """Write the metric's mean and standard deviation."""
        return words.score(metric, self.mean(metric), self.spread(metric))


def summaries(verdict: Verdict, task: str) -> list[Summary]:
    """Group the cells of a task by label count and arm, in the order of a report."""
    groups: dict[tuple[int, str], list[Cell]] = {}
    for cell in verdict.cells:
        if cell.task == task:
            groups.setdefault((cell.labels, cell.arm), []).append(cell)
    gains = {(gain.labels, gain.arm): gain for gain in verdict.gains if gain.task == task}
    order = {name: place for place, name in enumerate(words.arms(verdict))}
    return [
        Summary(task, arm, labels, tuple(sorted(groups[labels, arm], key=_seed)), gains.get((labels, arm)))
        for labels, arm in sorted(groups, key=lambda key: (key[0], order[key[1]]))
    ]


def _seed(cell: Cell) -> int:
    return cell.seed


def target_models(verdict: Verdict) -> list[str]:
    """Return what the models of the target task are called; empty if language models alone were compared."""
    return [name for name in TARGETS if any(cell.task == name for cell in verdict.cells)]

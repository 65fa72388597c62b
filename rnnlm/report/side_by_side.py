"""Finished runs side by side: which settings differ, and what the results are."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import ValidationError

from rnnlm.checksums import checked
from rnnlm.errors import DataError
from rnnlm.evaluation.comparison import Predictions, Rules, gains_over_run
from rnnlm.evaluation.predictions import predictions_of
from rnnlm.evaluation.verdict import Cell, Verdict
from rnnlm.refs import ScoreRef
from rnnlm.report import words
from rnnlm.report.summary import Summary, summaries
from rnnlm.report.writing import template
from rnnlm.settings import flat
from rnnlm.targets import TARGETS, measure_of

SIGNS = {"positive": "▲", "equal": "=", "negative": "▼", "open": "○", "no claim": "·"}
DIGEST = 12  # digits of a digest that are shown

Table = list[list[str]]
Row = tuple[int, str]  # label count, arm
Place = tuple[str, int, str]  # task, label count, arm
Key = tuple[str, int, str, int]  # the same, and the seed


@dataclass(frozen=True)
class Compared:
    """A finished run.

    Attributes:
        letter: Its name on the page.
        run_id: Its id in MLflow.
        started: When it began.
        verdict: Its verdict.
    """

    letter: str
    run_id: str
    started: datetime
    verdict: Verdict


@dataclass(frozen=True)
class SideBySide:
    """Runs side by side, as tables of text. The first row of a table is its head.

    Attributes:
        runs: Letter, experiment, run and time.
        settings: What differs: settings, digests of data and models, versions.
        scores: For each task the metric, and each arm's score in each run, with the paired differences.
        gains: For each task the metric, and each arm's gain over scratch in each run.
        pairing: Whether each run is paired with the first, in words.
        verdicts: Letter and sentences of each run.
    """

    runs: Table
    settings: Table
    scores: list[tuple[str, str, Table]]
    gains: list[tuple[str, str, Table]]
    pairing: list[str]
    verdicts: list[tuple[str, list[str]]]


def read_verdict(text: str, where: str) -> Verdict:
    """Read a `verdict.json`.

    Raises:
        DataError: If it is not a verdict, or one of another version.
    """
    try:
        return Verdict.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"its verdict.json cannot be read: {'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}",
            where=where,
            remedy="It is damaged, or of another version of rnnlm. Run the experiment again; finished steps are kept.",
        ) from error


def side_by_side(runs: Sequence[Compared], store: Path) -> SideBySide:
    """Compare runs side by side. Each is compared with the first if both have the same test documents.

    Args:
        runs: Two runs or more.
        store: The folder of the steps' outputs, which has the predictions.
    """
    first, *others = runs
    paired = {run.letter: _paired(first, run, store) for run in others}
    differences = {letter: texts for letter, (texts, _) in paired.items() if texts}
    tasks = [task for task in words.KINDS if any(cell.task == task for run in runs for cell in run.verdict.cells)]
    return SideBySide(
        runs=[["", "experiment", "run", "began (UTC)"]]
        + [[run.letter, run.verdict.experiment, run.run_id, f"{run.started:%Y-%m-%d %H:%M}"] for run in runs],
        settings=_settings(runs),
        scores=[
            (words.task(task), words.metric(measure_of(task).name), _scores(runs, task, differences)) for task in tasks
        ],
        gains=[
            (words.task(task), words.metric(measure_of(task).name), table)
            for task in tasks
            if len(table := _table(runs, task, lambda row: words.gain(row.gain) if row.gain else "")) > 1
        ],
        pairing=[said for _, said in paired.values()],
        verdicts=[(run.letter, run.verdict.sentences) for run in runs],
    )


def write_side_by_side(found: SideBySide, folder: Path) -> None:
    """Write `side-by-side.html` into an existing folder. The page needs no other file."""
    page = template("side_by_side.html.j2").render(found=found)
    (folder / "side-by-side.html").write_text(page, encoding="utf-8")


def terminal(found: SideBySide) -> str:
    """Return the tables as text for a terminal."""
    parts = [_aligned(found.runs)]
    letters = found.settings[0][1:]
    differing = [
        "\n".join([name, *(f"  {letter}  {value}" for letter, value in zip(letters, values, strict=True))])
        for name, *values in found.settings[1:]
    ]
    parts += ["\n".join(["What differs", "", *differing])] if differing else ["No setting differs."]
    parts += [f"{task.capitalize()}, {metric}\n\n{_aligned(table)}" for task, metric, table in found.scores]
    parts += [f"{task.capitalize()}, gain over scratch [95 %]\n\n{_aligned(table)}" for task, _, table in found.gains]
    parts += found.pairing
    return "\n\n".join(parts)


def _aligned(table: Table) -> str:
    widths = [max(len(text) for text in column) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def _settings(runs: Sequence[Compared]) -> Table:
    """Return the settings, digests and versions that differ, with the value of each run."""
    known = [_known(run.verdict) for run in runs]
    names = dict.fromkeys(name for one in known for name in one)
    rows = [[name, *(one.get(name, words.NONE) for one in known)] for name in names]
    return [["", *(run.letter for run in runs)], *(row for row in rows if len(set(row[1:])) > 1)]


def _known(verdict: Verdict) -> dict[str, str]:
    values = {name: _text(value) for name, value in flat(verdict.configuration).items()}
    values |= {f"{name} (digest)": digest[:DIGEST] for name, digest in verdict.digests.items()}
    return values | {f"{name} (version)": version for name, version in verdict.versions.items()}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _scores(runs: Sequence[Compared], task: str, differences: dict[str, dict[Place, str]]) -> Table:
    table = _table(runs, task, lambda row: row.score(measure_of(task).name))
    for letter, texts in differences.items():
        table[0].append(f"{letter} against {runs[0].letter} [95 %]")
        for row, place in zip(table[1:], _rows(runs, task), strict=True):
            row.append(texts.get((task, *place), words.NONE))
    return table


def _table(runs: Sequence[Compared], task: str, show: Callable[[Summary], str]) -> Table:
    """Return a row for each arm and label count, with the text that `show` returns for each run."""
    of_runs = [{(row.labels, row.arm): row for row in summaries(run.verdict, task)} for run in runs]
    rows = []
    for place in _rows(runs, task):
        texts = [show(one[place]) if place in one else "" for one in of_runs]
        rows.append([*([f"{place[0]:,}"] if task in TARGETS else []), words.arm(place[1]), *texts])
    head = [*(["labels"] if task in TARGETS else []), "arm", *(run.letter for run in runs)]
    texts_at = len(head) - len(runs)
    return [head, *([text or words.NONE for text in row] for row in rows if any(row[texts_at:]))]


def _rows(runs: Sequence[Compared], task: str) -> list[Row]:
    """Return the label counts and arms of all runs, in the order of a report."""
    found = {(row.labels, row.arm) for run in runs for row in summaries(run.verdict, task)}
    order = list(dict.fromkeys(name for run in runs for name in words.arms(run.verdict)))
    return sorted(found, key=lambda row: (row[0], order.index(row[1])))


def _paired(first: Compared, other: Compared, store: Path) -> tuple[dict[Place, str], str]:
    """Compare a run with the first on the same test documents, and say whether that is possible."""
    name = f"{other.letter} and {first.letter}"
    digests = [run.verdict.digests.get("target documents") for run in (first, other)]
    if digests[0] is None or digests[0] != digests[1]:
        return {}, f"{name} are not paired: their test documents differ, or may do."
    cells = [{_key(cell): cell for cell in run.verdict.cells} for run in (first, other)]
    common = cells[0].keys() & cells[1].keys()
    if not common:
        return {}, f"{name} are not paired: they have no arm, number of labels and seed in common."
    shared = {key for key in common if _way(first.verdict, key[1]) == _way(other.verdict, key[1])}
    uncommon = "the labels that chose a model are counted in one of them alone (comparison.validation)"
    if not shared:
        return {}, f"{name} are not paired: {uncommon}."
    before, after = (_predictions(one, shared, store) for one in cells)
    both = [key for key in before if key in after and before[key][0] == after[key][0]]
    if not both:
        return {}, (
            f"{name} are not paired: the predictions of one of them are not here, or its verdict does not say where."
        )
    # If both took a cell from the cache, it is the same cell, and there is nothing to test.
    texts = {key[:3]: "the same" for key in both}
    changed = {key[:3] for key in both if cells[0][key].output != cells[1][key].output}
    compared = [key for key in both if key[:3] in changed]
    gains = gains_over_run(
        [after[key][1] for key in compared],
        [before[key][1] for key in compared],
        f"in run {first.letter}",
        _rules(first.verdict.configuration),
    )
    texts |= {(gain.task, gain.labels, gain.arm): f"{SIGNS[gain.outcome]} {words.gain(gain)}" for gain in gains}
    lacking = f" of {len(shared)}; the predictions of the others are gone" if len(both) < len(shared) else ""
    number = f"{len(both)} cell{'s' if len(both) > 1 else ''}"
    said = f"{name} are paired: {number}{lacking}, on the same test documents and seeds."
    if len(shared) < len(common):
        left = len(common) - len(shared)
        said += f" {left} other cell{'s are' if left > 1 else ' is'} not: {uncommon}."
    return texts, said


def _way(verdict: Verdict, labels: int) -> str:
    """Return how the models of a number of labels were chosen; verdicts of earlier versions do not say that."""
    return verdict.validation[labels].way if labels in verdict.validation else "split" if labels else ""


def _rules(configuration: Mapping[str, Any]) -> Rules:
    """Return how gains over a run are judged: in one look, by its margins.

    Args:
        configuration: The run's experiment. One of an earlier version has no margins; the usual ones hold then.
    """
    comparison = configuration.get("comparison", {})
    return Rules(comparison.get("margin"), comparison.get("margin_bits", Rules.margin_bits))


def _predictions(
    cells: dict[Key, Cell], wanted: Collection[Key], store: Path
) -> dict[Key, tuple[list[str], Predictions]]:
    """Read the ids and the predictions of the test documents, of the cells that are still in the store."""
    found = {}
    for key, cell in cells.items():
        folder = store / cell.output
        if key in wanted and cell.output and (folder / "predictions.parquet").is_file():
            ref = cell.model_dump(include={"task", "arm", "labels", "seed", "metrics", "seconds"})
            score = ScoreRef(path=folder, sha256="", recorded_as="", **ref)
            ids = pq.read_table(checked(folder / "predictions.parquet"), columns=["id"])["id"].to_pylist()
            found[key] = ids, predictions_of(score)
    return found


def _key(cell: Cell) -> Key:
    return cell.task, cell.labels, cell.arm, cell.seed

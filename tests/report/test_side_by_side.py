"""Runs side by side: what is said of them is what their verdicts and predictions say."""

import html
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnnlm.errors import DataError
from rnnlm.evaluation.verdict import Cell, Gain, Interval, Verdict
from rnnlm.report.side_by_side import Compared, read_verdict, side_by_side, terminal, write_side_by_side

DOCUMENTS = 400


def cell(store: Path, run: str, arm: str, seed: int, right: float, labels: int = 20, keep: bool = True) -> Cell:
    """Make a classifier's cell with predictions of which a share is right, and write them into the store."""
    hit = np.random.default_rng([seed, labels, len(arm)]).random(DOCUMENTS) < right
    output = f"{run}-{arm}-{labels}-{seed}"
    if keep:
        (store / output).mkdir(parents=True)
        columns = {
            "id": [str(n) for n in range(DOCUMENTS)],
            "label": np.ones(DOCUMENTS, np.int16),
            "probabilities": [[0.2, 0.8] if one else [0.8, 0.2] for one in hit],
        }
        pq.write_table(pa.table(columns), store / output / "predictions.parquet")
    return Cell(
        task="classifier",
        arm=arm,
        labels=labels,
        seed=seed,
        metrics={"accuracy": float(hit.mean())},
        seconds=1.0,
        history=[],
        output=output,
    )


def verdict(cells: list[Cell], **changes: object) -> Verdict:
    gain = Gain(
        task="classifier",
        metric="accuracy",
        arm="parameter",
        labels=20,
        gain=Interval(value=0.05, low=0.01, high=0.09),
        spread=None,
        seeds=2,
        p_value=0.01,
        outcome="positive",
        sentence="",
    )
    values: dict[str, object] = {
        "experiment": "tiny",
        "sentences": ["Transfer helps."],
        "cells": cells,
        "gains": [gain],
        "source": {},
        "documents": {"test": DOCUMENTS},
        "digests": {"target documents": "d" * 64},
        "versions": {"numpy": "2"},
        "seconds": {},
        "configuration": {"model": {"hidden": 12, "layers": 2}, "comparison": {"labels": [20, "all"]}},
        "command": "",
    }
    return Verdict.model_validate(values | changes)


def runs(*verdicts: Verdict) -> list[Compared]:
    began = datetime(2026, 11, 25, 5, 30, tzinfo=UTC)
    return [Compared("ABC"[n], f"{n}" * 32, began, one) for n, one in enumerate(verdicts)]


def test_what_differs_is_named_with_each_value_and_nothing_else(tmp_path: Path) -> None:
    other = {"model": {"hidden": 24, "layers": 2}, "comparison": {"labels": [20, "all"]}, "new": None}
    found = side_by_side(runs(verdict([]), verdict([], configuration=other, versions={"numpy": "3"})), tmp_path)
    assert found.settings == [
        ["", "A", "B"],
        ["model.hidden", "12", "24"],
        ["numpy (version)", "2", "3"],
        ["new", "–", "null"],
    ]
    assert "No setting differs." in terminal(side_by_side(runs(verdict([]), verdict([])), tmp_path))


def test_the_same_documents_are_compared_one_by_one(tmp_path: Path) -> None:
    first = [cell(tmp_path, "a", "scratch", seed, 0.6) for seed in (1, 2)]
    second = [cell(tmp_path, "b", "scratch", seed, 0.8) for seed in (1, 2, 3)]
    same = cell(tmp_path, "a", "parameter", 1, 0.7)
    found = side_by_side(runs(verdict([*first, same]), verdict([*second, same])), tmp_path)
    ((_, metric, table),) = found.scores
    assert metric == "accuracy"
    assert table[0] == ["labels", "arm", "A", "B", "B against A [95 %]"]
    before, after = (np.mean([one.metrics["accuracy"] for one in cells[:2]]) for cells in (first, second))
    expected = 100 * (after - before)
    assert table[1][:2] == ["20", "scratch"]
    # The third seed has no partner. The hits of one run are among those of the other: the interval is narrow.
    assert table[1][4].startswith(f"▲ +{expected:.1f} points [")
    assert table[2] == ["20", "parameter transfer", *[f"{100 * same.metrics['accuracy']:.1f} %"] * 2, "the same"]
    assert found.pairing == ["B and A are paired: 3 cells, on the same test documents and seeds."]
    assert found.gains[0][2][1:] == [["20", "parameter transfer", *["+5.0 points [1.0, 9.0]"] * 2]]


def test_what_gets_worse_is_called_so(tmp_path: Path) -> None:
    first, second = (verdict([cell(tmp_path, run, "tfidf", 1, right)]) for run, right in (("a", 0.8), ("b", 0.6)))
    ((_, _, table),) = side_by_side(runs(first, second), tmp_path).scores
    assert table[1][4].startswith("▼ −")


@pytest.mark.parametrize(
    ("changes", "keep", "said"),
    [
        ({"digests": {"target documents": "e" * 64}}, True, "their test documents differ"),
        ({"digests": {}}, True, "their test documents differ, or may do"),
        ({}, False, "are not here"),
    ],
)
def test_what_cannot_be_paired_says_why(tmp_path: Path, changes: dict[str, object], keep: bool, said: str) -> None:
    first = verdict([cell(tmp_path, "a", "scratch", 1, 0.6)])
    second = verdict([cell(tmp_path, "b", "scratch", 1, 0.6, keep=keep)], **changes)
    found = side_by_side(runs(first, second), tmp_path)
    assert said in found.pairing[0]
    assert found.scores[0][2][0] == ["labels", "arm", "A", "B"]


def test_runs_without_a_common_cell_stand_beside_each_other_unpaired(tmp_path: Path) -> None:
    first = verdict([cell(tmp_path, "a", "scratch", 1, 0.6)])
    second = verdict([cell(tmp_path, "b", "scratch", 1, 0.6, labels=40)])
    found = side_by_side(runs(first, second), tmp_path)
    assert [row[:2] for row in found.scores[0][2][1:]] == [["20", "scratch"], ["40", "scratch"]]
    assert "in common" in found.pairing[0]


def test_numbers_of_labels_that_count_otherwise_are_not_paired(tmp_path: Path) -> None:
    """A verdict without a word about it is of an earlier version: its validation split was not counted."""
    counted = {20: {"way": "cross-validation", "documents": 20}}
    first = verdict([cell(tmp_path, "a", "scratch", 1, 0.6)])
    second = verdict([cell(tmp_path, "b", "scratch", 1, 0.8)], validation=counted)
    found = side_by_side(runs(first, second), tmp_path)
    assert "the labels that chose a model are counted in one of them alone (comparison.validation)" in found.pairing[0]
    assert found.scores[0][2][0] == ["labels", "arm", "A", "B"]
    uncounted = verdict(second.cells, validation={20: {"way": "split", "documents": 300}})
    assert side_by_side(runs(first, uncounted), tmp_path).pairing[0].startswith("B and A are paired: 1 cell, on")


def test_the_page_stands_alone_and_text_stays_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    first = verdict([cell(tmp_path, "a", "scratch", 1, 0.6)])
    second = verdict([cell(tmp_path, "b", "scratch", 1, 0.9)], experiment=hostile, sentences=[hostile])
    third = verdict([cell(tmp_path, "c", "scratch", 1, 0.9)])
    write_side_by_side(side_by_side(runs(first, second, third), tmp_path), tmp_path)
    page = (tmp_path / "side-by-side.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "src=" not in page
    assert page.count(html.escape(hostile)) == 2
    assert "C against A [95\u00a0%]" in page
    assert "<title>Runs side by side</title>" in page
    assert "▲ better" in page


def test_a_verdict_of_another_version_is_an_error_for_people() -> None:
    with pytest.raises(DataError, match=r"^mine: its verdict.json cannot be read: .*experiment"):
        read_verdict("{}", "mine")

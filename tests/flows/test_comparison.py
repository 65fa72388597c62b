"""`rnnlm compare` over runs of a real MLflow store."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from rnnlm.cli.app import app
from rnnlm.tracking import mlflow as tracking

EMPTY = ("cells", "gains", "sentences")
NOTHING = ("source", "documents", "digests", "versions", "seconds")


def run(folder: Path, experiment: str, key: str, hidden: int, status: str = "FINISHED") -> str:
    """Leave a run with a small verdict, as `rnnlm run` does, and a training below it."""
    run_id = tracking.flow_run(experiment, key, experiment, {})
    with tracking.MlflowRun(run_id).child("training", {}, {}, {}):
        pass
    cell = {"task": "classifier", "arm": "scratch", "labels": 20, "seed": 1, "seconds": 1.0, "history": []}
    content: dict[str, Any] = {name: [] for name in EMPTY} | {name: {} for name in NOTHING}
    content |= {"experiment": experiment, "command": "", "configuration": {"model": {"hidden": hidden}}}
    content |= {"cells": [cell | {"metrics": {"accuracy": 0.5 + hidden / 1000}}]}
    report = folder / key
    report.mkdir()
    (report / "verdict.json").write_text(json.dumps(content), encoding="utf-8")
    tracking.MlflowRun(run_id).log_folder(report, "report")
    tracking.finish(run_id, status)
    return run_id


@pytest.mark.usefixtures("mlflow_store")
def test_runs_by_id_and_by_name_stand_side_by_side(tmp_path: Path) -> None:
    first, _, last = run(tmp_path, "mine", "1", 12), run(tmp_path, "mine", "2", 16), run(tmp_path, "mine", "3", 24)
    run(tmp_path, "mine", "4", 48, status="FAILED")
    result = CliRunner().invoke(app, ["compare", first, "mine"])
    assert result.exit_code == 0, result.output
    assert first in result.stdout
    assert last in result.stdout, "the name means the latest that has finished"
    assert "model.hidden\n  A  12\n  B  24\n" in result.stdout
    assert "20      scratch  51.2 %  52.4 %\n" in result.stdout
    page = Path(result.stdout.split("Page  ")[1].strip())
    assert page == tmp_path / "side-by-side" / f"{first[:8]}-{last[:8]}" / "side-by-side.html"
    assert "52.4 %" in page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("mlflow_store")
def test_what_cannot_be_compared_is_one_message(tmp_path: Path) -> None:
    good = run(tmp_path, "mine", "1", 12)
    failed = run(tmp_path, "other", "2", 12, status="FAILED")
    client = MlflowClient()
    found = client.get_experiment_by_name("mine")
    assert found is not None
    (child,) = client.search_runs([found.experiment_id], f"tags.`mlflow.parentRunId` = '{good}'")
    for name, said in [
        ("0" * 32, f"{'0' * 32}: MLflow knows no run with this id"),
        ("nowhere", "nowhere: MLflow knows no run with this id, and no experiment with this name"),
        (failed, f"{failed}: this run is FAILED"),
        ("other", "other: no run of this experiment has finished"),
        (child.info.run_id, f"{child.info.run_id}: this run has no verdict"),
        (good, "a comparison takes 2 to 26 different runs, these are 1"),
    ]:
        result = CliRunner().invoke(app, ["compare", good, name])
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: {said}")
        assert len(result.stderr.splitlines()) == 1

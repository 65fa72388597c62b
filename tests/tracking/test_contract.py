"""What every tracker does. A new one is added to TRACKERS."""

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnlm.refs import TokensRef
from rnnlm.tracking import JsonLines, Null, Tracker
from rnnlm.tracking.mlflow import MlflowRun, flow_run

TEXT = TokensRef(
    path=Path("/t"),
    sha256="70ce",
    tokenizer_sha256="70",
    documents_sha256="d0c5",
    vocabulary_size=9,
    tokens={"train": 5},
    unknown={},
    documents={"train": 1},
    labels=[],
)

# A whole run of each tracker, for which the folder and MLflow's store are there.
TRACKERS: dict[str, Callable[[Path], Tracker]] = {
    "null": lambda _: Null(),
    "json lines": lambda folder: JsonLines(folder / "deep" / "runs.jsonl"),
    "mlflow": lambda _: MlflowRun(flow_run("contract", "key", "whole", {})),
}

every_tracker = pytest.mark.parametrize("name", TRACKERS)


@pytest.fixture
def tracker(name: str, tmp_path: Path, mlflow_store: str) -> Tracker:
    assert mlflow_store
    return TRACKERS[name](tmp_path)


def record_all(tracker: Tracker, folder: Path) -> None:
    """Call everything that the steps call."""
    tracker.log_params({"model": {"hidden": 3}, "分词": "词", "none": None})
    tracker.log_texts({"target tokens": TEXT})
    tracker.log_metrics({"accuracy": 0.5, "broken": math.nan})
    tracker.log_metrics({})
    tracker.log_curve([(1, {"train/loss": 5.0}), (2, {"train/loss": math.inf})])
    tracker.log_curve([])
    tracker.set_tags({"rnnlm.arm": "scratch"})
    (folder / "report").mkdir(exist_ok=True)
    (folder / "report" / "report.html").write_text("It helps.")
    tracker.log_folder(folder / "report", "report")


@every_tracker
def test_a_run_and_its_parts_are_recorded(tracker: Tracker, tmp_path: Path) -> None:
    record_all(tracker, tmp_path)
    ids = {tracker.run_id}
    for _ in range(2):  # a retry has a record of its own
        with tracker.child("pretrain", {"seed": 1}, {"rnnlm.arm": "source"}, {"source tokens": TEXT}) as part:
            record_all(part, tmp_path)
            ids.add(part.run_id)
    assert len(ids) == 3
    assert all(len(run_id) == 32 and int(run_id, 16) >= 0 for run_id in ids)


@every_tracker
@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()])
def test_what_ends_a_part_passes_through(tracker: Tracker, error: BaseException) -> None:
    with pytest.raises(type(error)), tracker.child("pretrain", {}, {}, {}):
        raise error


@every_tracker
def test_it_goes_to_other_processes(tracker: Tracker) -> None:
    again = pickle.loads(pickle.dumps(tracker))
    assert again == tracker
    assert again.run_id == tracker.run_id


@every_tracker
def test_what_came_from_the_cache_is_found_from_then_on(tracker: Tracker) -> None:
    """Whoever computed it: another tracker, or this one."""
    with tracker.child("pretrain", {}, {}, {}) as part:
        pass
    for computed_by in (part.run_id, Null().run_id):
        found, _ = tracker.find(computed_by, "pretrain", lambda run: run.log_metrics({"accuracy": 0.5}))
        again, written = tracker.find(found, "pretrain", lambda run: run.log_metrics({"accuracy": 0.5}))
        assert (again, written) == (found, False)


def lines(file: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise ValueError(constant)  # NaN is not JSON

    return [json.loads(line, parse_constant=refuse) for line in file.read_text(encoding="utf-8").splitlines()]


def test_json_lines_hold_all_that_was_recorded(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    whole = JsonLines(file)
    whole.log_params({"model": {"hidden": 3}})
    with whole.child("pretrain", {"seed": 1}, {"rnnlm.arm": "source"}, {"source tokens": TEXT}) as part:
        part.log_curve([(1, {"train/loss": 5.0}), (2, {"train/loss": math.inf})])
        part.log_metrics({"accuracy": 0.5})
    with pytest.raises(KeyboardInterrupt), whole.child("finetune", {}, {}, {}):
        raise KeyboardInterrupt
    whole.find("ab" * 16, "baseline", lambda run: run.log_metrics({"accuracy": 0.25}))
    found = lines(file)
    assert found[0]["params"] == {"model.hidden": 3}
    names = {line["name"]: line["parent"] for line in found if "name" in line}
    assert names == dict.fromkeys(("pretrain", "finetune", "baseline"), whole.run_id)
    of_part = [line for line in found if line["run"] == part.run_id]
    assert of_part[0] | {"time": 0} == {
        "run": part.run_id,
        "time": 0,
        "name": "pretrain",
        "parent": whole.run_id,
        "params": {"seed": 1},
        "tags": {"rnnlm.arm": "source"},
    }
    assert of_part[1]["texts"] == {"source tokens": {"sha256": "70ce", "file": "/t/tokens.parquet"}}
    assert [(line["step"], line["metrics"]) for line in of_part if "step" in line] == [
        (1, {"train/loss": 5.0}),
        (2, {"train/loss": None}),
    ]
    assert of_part[-2]["metrics"] == {"accuracy": 0.5}
    assert [line["status"] for line in found if "status" in line] == ["FINISHED", "KILLED", "FINISHED"]
    assert found[-2]["metrics"] == {"accuracy": 0.25}

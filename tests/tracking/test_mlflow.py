import time

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from rnnlm.tracking import mlflow as tracking


@pytest.mark.usefixtures("mlflow_store")
def test_the_load_of_the_machine_stands_beside_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")  # seconds; ten by default
    parent = tracking.flow_run("loaded", "key", "flow", {})
    with tracking.MlflowRun(parent).child("pretrain", {}, {}, {}) as run:
        end = time.monotonic() + 30
        while not MlflowClient().get_metric_history(run.run_id, "system/cpu_utilization_percentage"):
            assert time.monotonic() < end, "no load was recorded within 30 s"
            time.sleep(0.05)
    recorded = MlflowClient().get_run(run.run_id)
    assert recorded.info.status == "FINISHED"
    assert 0.0 < recorded.data.metrics["system/system_memory_usage_percentage"] <= 100.0


def children(parent: str) -> list[Run]:
    client = MlflowClient()
    of_parent = f"tags.`mlflow.parentRunId` = '{parent}'"
    return list(client.search_runs([client.get_run(parent).info.experiment_id], of_parent))


@pytest.mark.usefixtures("mlflow_store")
def test_a_step_from_the_cache_is_a_child_of_each_run_that_took_it() -> None:
    first, second = (tracking.flow_run("cached", key, key, {}) for key in ("first", "second"))
    with tracking.MlflowRun(first).child("pretrain", {"model": {"hidden": 3}}, {"rnnlm.arm": "source"}, {}) as run:
        run.log_curve([(1, {"train/loss": 5.0}), (2, {"train/loss": 4.0})])
    for parent in (first, second, second):
        tracking.copy_runs(parent, [run.run_id, run.run_id, "0" * 32])  # the last one is not in the store

    assert [child.info.run_id for child in children(first)] == [run.run_id]
    (copy,) = children(second)
    assert (copy.info.run_name, copy.info.status) == ("pretrain", "FINISHED")
    assert copy.data.params == {"model.hidden": "3"}
    assert {name: value for name, value in copy.data.metrics.items() if "system" not in name} == {"train/loss": 4.0}
    assert copy.data.tags["rnnlm.arm"] == "source"
    assert copy.data.tags["rnnlm.copy_of"] == run.run_id
    assert f"runs/{run.run_id}" in copy.data.tags["mlflow.note.content"]


@pytest.mark.usefixtures("mlflow_store")
def test_a_run_for_which_nothing_has_changed_names_the_one_that_has_its_trainings() -> None:
    client = MlflowClient()
    runs = []
    for key in ("failed", "first", "second", "third"):
        runs.append(tracking.flow_run("same", key, key, {}))
        tracking.MlflowRun(runs[-1]).set_tags({"mlflow.note.content": "It helps."})
        if key in ("second", "third"):
            tracking.log_unchanged(runs[-1])
        tracking.finish(runs[-1], "FAILED" if key == "failed" else "FINISHED")
    _, first, *same = runs
    for run in same:
        tags = client.get_run(run).data.tags
        assert tags["rnnlm.same_as"] == first
        assert tags["mlflow.note.content"].startswith("It helps. Nothing has changed since")
        assert f"runs/{first}" in tags["mlflow.note.content"]
    alone = tracking.flow_run("alone", "key", "alone", {})
    tracking.log_unchanged(alone)
    assert "rnnlm.same_as" not in client.get_run(alone).data.tags

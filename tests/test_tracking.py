import time

import pytest
from mlflow import MlflowClient

from rnnlm import tracking


@pytest.mark.usefixtures("mlflow_store")
def test_the_load_of_the_machine_stands_beside_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")  # seconds; ten by default
    parent = tracking.flow_run("loaded", "key", "flow", {})
    with tracking.step_run(parent, "pretrain", {}, {}, {}) as run:
        end = time.monotonic() + 30
        while not MlflowClient().get_metric_history(run.run_id, "system/cpu_utilization_percentage"):
            assert time.monotonic() < end, "no load was recorded within 30 s"
            time.sleep(0.05)
    recorded = MlflowClient().get_run(run.run_id)
    assert recorded.info.status == "FINISHED"
    assert 0.0 < recorded.data.metrics["system/system_memory_usage_percentage"] <= 100.0

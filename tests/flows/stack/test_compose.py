"""The services of `deployments/compose.yaml`, as a team runs them: needs Docker, and the ports 4200 and 5000."""

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from rnnlm.environment import answers
from rnnlm.stack.api import ask

FILE = Path(__file__).resolve().parents[3] / "deployments" / "compose.yaml"
PREFECT, MLFLOW = "http://127.0.0.1:4200", "http://127.0.0.1:5000"
WORKERS = ("rnnlm-test-worker-1", "rnnlm-test-worker-2")


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def until(answer: Callable[[], Any], wanted: str, seconds: float = 300.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < end, f"{wanted}: not within {seconds:.0f} s"
        time.sleep(1)
    return found


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    password = secrets.token_hex(16)
    monkeypatch.setenv("RNNLM_PASSWORD", password)
    monkeypatch.setenv("RNNLM_LOGIN", f"rnnlm:{password}")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "rnnlm")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    compose = ("compose", "--file", str(FILE), "--project-name", "rnnlm-test")
    docker(*compose, "build", "worker")
    try:
        docker(*compose, "up", "--detach", "--no-build", "--scale", "worker=2")
        yield
    finally:
        docker(*compose, "down", "--volumes")


def state(run: str) -> str:
    return str(ask(PREFECT, f"/flow_runs/{run}", method="GET")["state"]["name"])


@pytest.mark.compose
@pytest.mark.timeout(3_600)
def test_a_run_outlives_the_container_of_its_worker(services: None, monkeypatch: pytest.MonkeyPatch) -> None:
    until(lambda: answers(f"{PREFECT}/api/health") and answers(f"{MLFLOW}/health"), "the servers")
    until(lambda: len(ask(PREFECT, "/deployments/filter", {})) == 4, "the deployments")
    automations = {one["name"] for one in until(lambda: ask(PREFECT, "/automations/filter", {}), "the automations")}
    assert {"rnnlm - lost run", "rnnlm - new source model"} <= automations

    # The demo's texts, small models: the workers reach no file of this machine.
    experiment = {
        "name": "small",
        "model": {"hidden": 64, "embedding": 64},
        "comparison": {"arms": ["scratch", "parameter"], "labels": [500], "seeds": 1},
    }
    deployment = ask(PREFECT, "/deployments/name/transfer/demo", method="GET")["id"]
    run = ask(PREFECT, f"/deployments/{deployment}/create_flow_run", {"parameters": {"experiment": experiment}})["id"]
    until(lambda: state(run) == "Running", "a run")

    def tokenized() -> bool:
        steps = ask(PREFECT, "/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return [step["state_name"] for step in steps if step["name"] == "tokenize"] == ["Completed"] * 2

    until(tokenized, "tokens")
    (busy,) = (worker for worker in WORKERS if "prefect.engine" in docker("top", worker))
    docker("kill", busy)
    until(lambda: state(run) == "Crashed", "a lost run that is marked")
    ask(PREFECT, f"/flow_runs/{run}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}})
    until(lambda: state(run) == "Completed", "a verdict", 900)
    steps = ask(PREFECT, "/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    assert sum(step["state_name"] == "Cached" for step in steps) >= 4, "what was finished is not done again"

    # From Prefect to MLflow and back, and the report out of the store of objects, which is not to be reached from here.
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
    (link,) = ask(PREFECT, "/artifacts/filter", {"artifacts": {"key": {"any_": ["mlflow-run"]}}})[:1]
    client = MlflowClient(MLFLOW)
    (recorded,) = client.search_runs(["1"], f"tags.`prefect.flow_run_id` = '{run}'")
    assert recorded.info.status == "FINISHED"
    assert f"{MLFLOW}/#/experiments/1/runs/{recorded.info.run_id}" in link["data"]
    assert recorded.data.tags["prefect.address"] == f"{PREFECT}/runs/flow-run/{run}"
    assert str(recorded.info.artifact_uri).startswith("mlflow-artifacts:")
    verdict = Path(client.download_artifacts(recorded.info.run_id, "report/verdict.json")).read_text(encoding="utf-8")
    assert json.loads(verdict)["summary"] == recorded.data.tags["mlflow.note.content"]
    below = client.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{recorded.info.run_id}'")
    assert {child.info.status for child in below} <= {"FINISHED", "KILLED"}

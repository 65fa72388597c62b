"""Servers and a worker as `rnnlm up` starts them, and what is asked of them over Prefect's API."""

import contextlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnlm.experiment import Experiment, check_experiment
from rnnlm.login import login
from rnnlm.stack import ports
from rnnlm.stack.api import ask

WAIT = 240.0  # seconds for a run of the tiny experiment, on two busy cores


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("RNNLM_HOME", str(home))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return home


@pytest.fixture
def prefect(home: Path, rnnlm_up: Callable[..., contextlib.AbstractContextManager[dict[str, str]]]) -> Iterator[str]:
    """Start all with `rnnlm up`; gives the address of Prefect's server."""
    with rnnlm_up(home) as servers:
        yield servers["prefect"]


@pytest.fixture
def mlflow(prefect: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The store of the runs."""
    assert prefect
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")


@pytest.fixture
def seeded(settings: dict[str, Any], experiment: Experiment) -> Experiment:
    assert experiment
    settings["target"] |= {"tokenizer": None, "ngram_order": None, "adaptations": [], "language_model": None}
    settings["comparison"] = {"arms": ["scratch", "parameter"], "labels": ["all"], "seeds": 1}
    return check_experiment(settings)


def start(prefect: str, deployment: str, parameters: dict[str, Any], queue: str = "default") -> str:
    found = ask(prefect, f"/deployments/name/{deployment}", method="GET")
    asked = {"parameters": parameters, "work_queue_name": queue}
    run = ask(prefect, f"/deployments/{found['id']}/create_flow_run", asked)
    return str(run["id"])


def until(answer: Callable[[], Any], wanted: str) -> Any:
    end = time.monotonic() + WAIT
    while not (found := answer()):
        assert time.monotonic() < end, f"{wanted}: not within {WAIT:.0f} s"
        time.sleep(0.3)
    return found


def process_of(prefect: str, run: str) -> int:
    return int(ask(prefect, f"/flow_runs/{run}", method="GET")["infrastructure_pid"].rpartition(":")[2])


def run_in(prefect: str, run: str, *states: str) -> dict[str, Any]:
    """Wait until a run is in one of these states; gives it."""

    def found() -> dict[str, Any] | None:
        now: dict[str, Any] = ask(prefect, f"/flow_runs/{run}", method="GET")
        if now["state"]["name"] in states:
            return now
        assert now["state"]["type"] not in ("FAILED", "CRASHED", "COMPLETED"), now["state"]
        return None

    return dict(until(found, f"{states}"))


@pytest.fixture
def told(prefect: str) -> Iterator[tuple[str, list[str]]]:
    """A webhook of this machine, as a notification block; gives the block, and what it was told."""
    heard: list[str] = []

    class Ear(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((ports.HOST, 0), Ear) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kind = ask(prefect, "/block_types/slug/custom-webhook", method="GET")["id"]
        (schema,) = ask(prefect, "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind]}}})
        data = {
            "name": "ear",
            "url": f"http://{ports.HOST}:{server.server_port}/",
            "json_data": {"text": "{{subject}}: {{body}}"},
        }
        ask(
            prefect,
            "/block_documents/",
            {"name": "ear", "data": data, "block_type_id": kind, "block_schema_id": schema["id"]},
        )
        yield "custom-webhook/ear", heard
        server.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_person_is_asked_and_nothing_is_done_twice(prefect: str, mlflow: Any, seeded: Experiment) -> None:
    asked = seeded.model_dump(mode="json")
    source = {"name": "tiny", "source": asked["source"], "model": asked["model"]}
    first = run_in(prefect, start(prefect, "pretrain/demo", source), "Completed")
    assert first["state"]["name"] == "Completed"

    # Nothing has changed: the run says so, in twenty seconds from its start to its end.
    again = run_in(prefect, start(prefect, "pretrain/demo", source), "Unchanged")
    assert again["state"]["type"] == "COMPLETED"
    assert again["state"]["message"] == "Nothing has changed: all 4 steps came from the cache."
    assert again["total_run_time"] < 20.0

    # A better model waits for a person.
    target = {"source_model": "models:/tiny-source@champion", "name": "tiny", "target": asked["target"]}
    target |= {"comparison": asked["comparison"], "promotion": {"approval": True}}
    adapted = start(prefect, "adapt/demo", target)
    waiting = run_in(prefect, adapted, "Suspended")
    keyset = waiting["state"]["state_details"]["run_input_keyset"]
    question = ask(prefect, f"/flow_runs/{adapted}/input/{keyset['description']}", method="GET")
    assert "**tiny-target, version 1**, would become champion (now: none)" in question

    def aliases() -> dict[str, int]:
        return {alias: int(number) for alias, number in mlflow.get_registered_model("tiny-target").aliases.items()}

    assert aliases() == {"challenger": 1}
    (run,) = mlflow.search_runs(
        [mlflow.get_experiment_by_name("tiny").experiment_id], f"tags.`prefect.flow_run_id` = '{adapted}'"
    )
    assert run.info.status == "SCHEDULED"

    # Prefect's worker breaks down on a run that comes back before its process has ended: no person is so quick.
    until(lambda: not Path(f"/proc/{process_of(prefect, adapted)}").exists(), "the end of a process")
    time.sleep(2)

    # With the answer the run goes on where it was, and the model is put to use.
    ask(prefect, f"/flow_runs/{adapted}/resume", {"run_input": {"promote": True, "reason": "looks right"}})
    run_in(prefect, adapted, "Completed")
    assert aliases() == {"champion": 1}
    assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"
    of_run = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    children = [child.info.run_name for child in mlflow.search_runs([run.info.experiment_id], of_run)]
    assert sorted(children) == sorted(set(children)) != [], "a step that was done is not done again"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_somebody_is_told_and_a_new_source_model_sets_off_its_adaptation(
    prefect: str, told: tuple[str, list[str]], seeded: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_AUTH_STRING, temporary_settings

    from rnnlm.stack import deploy as deploying

    def deploy(api: str) -> None:
        # This process may have loaded Prefect with the login of another workplace.
        with temporary_settings({PREFECT_API_AUTH_STRING: login()}):
            deploying.deploy(api)

    block, heard = told
    monkeypatch.setenv("RNNLM_NOTIFY", block)
    deploy(f"{prefect}/api")
    automations = {found["name"]: found for found in ask(prefect, "/automations/filter", {})}
    assert {"rnnlm - lost run", "rnnlm - failed run", "rnnlm - negative verdict"} <= automations.keys()

    # What a person switches on or off, and a schedule that a person makes, outlast the next start.
    def schedules() -> dict[str, bool]:
        found = ask(prefect, "/deployments/name/pretrain/demo", method="GET")["schedules"]
        return {schedule["schedule"]["cron"]: schedule["active"] for schedule in found}

    assert schedules() == {"0 3 * * 1": False}
    deployment = ask(prefect, "/deployments/name/pretrain/demo", method="GET")
    one = f"/deployments/{deployment['id']}/schedules"
    ask(prefect, f"{one}/{deployment['schedules'][0]['id']}", {"active": True}, "PATCH")
    ask(prefect, one, [{"schedule": {"cron": "0 5 1 1 *"}, "active": True}])
    trigger = automations["rnnlm - new source model"]
    assert not trigger["enabled"]
    ask(prefect, f"/automations/{trigger['id']}", {"enabled": True}, "PATCH")
    ask(prefect, f"/automations/{automations['rnnlm - lost run']['id']}", {"enabled": False}, "PATCH")
    deploy(f"{prefect}/api")
    assert schedules() == {"0 3 * * 1": True, "0 5 1 1 *": True}
    now = {found["name"]: found["enabled"] for found in ask(prefect, "/automations/filter", {})}
    assert len(now) == len(automations)
    assert not now["rnnlm - lost run"]
    assert now["rnnlm - new source model"]

    missing = {"name": "tiny", "source": {"corpus": {"files": ["/no/such/file.txt"]}}}
    failed = start(prefect, "pretrain/demo", missing)
    until(lambda: ask(prefect, f"/flow_runs/{failed}", method="GET")["state"]["type"] == "FAILED", "a failure")
    until(lambda: heard, "a message")
    assert "pretrain tiny-source Failed" in heard[0]
    assert "/no/such/file.txt" in heard[0]

    asked = seeded.model_dump(mode="json")
    source = {"name": "tiny", "source": asked["source"], "model": asked["model"]}
    run_in(prefect, start(prefect, "pretrain/demo", source), "Completed")

    def adapted() -> list[dict[str, Any]]:
        wanted = {"flows": {"name": {"any_": ["adapt"]}}}
        return list(ask(prefect, "/flow_runs/filter", wanted))

    (run,) = until(adapted, "a run of adapt")
    assert run["parameters"]["source_model"] == "models:/tiny-source/1"
    # It is the demo's target: half an hour that nobody waits for here.
    ask(prefect, f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}, "force": True})


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_that_died_is_marked_and_its_slot_is_free(
    prefect: str, mlflow: Any, seeded: Experiment, number: signal.Signals
) -> None:
    asked = seeded.model_dump(mode="json")
    source = {"name": "tiny", "source": asked["source"], "model": asked["model"]}
    source["source"]["language_model"]["epochs"] = 1_000
    lost = start(prefect, "pretrain/demo", source)
    until(lambda: mlflow.get_experiment_by_name("tiny"), "an experiment")
    experiment = mlflow.get_experiment_by_name("tiny").experiment_id
    until(lambda: len(mlflow.search_runs([experiment])) == 2, "a training")
    process = process_of(prefect, lost)
    if number == signal.SIGSTOP:
        # It has to have lived before it can be missed.
        alive = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}}}
        until(lambda: ask(prefect, "/events/filter", alive)["events"], "a sign of life")
    os.kill(process, number)

    def state() -> Any:
        return ask(prefect, f"/flow_runs/{lost}", method="GET")["state"]

    until(lambda: state()["type"] == "CRASHED", "crashed")
    if number == signal.SIGSTOP:
        assert "no sign of life" in state()["message"]
        os.kill(process, signal.SIGKILL)
    # The worker takes the next run, which ends the dead one's runs in MLflow.
    source["source"]["language_model"]["epochs"] = 1
    run_in(prefect, start(prefect, "pretrain/demo", source), "Completed")
    status = sorted(run.info.status for run in mlflow.search_runs([experiment]))
    assert status == ["FINISHED", "FINISHED", "KILLED", "KILLED"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_workers_on_two_queues_share_the_load_and_train_one_key_once(
    prefect: str, mlflow: Any, home: Path, seeded: Experiment, tmp_path: Path
) -> None:
    asked = seeded.model_dump(mode="json")
    asked["source"]["language_model"]["epochs"] = 100  # longer than two starts on one machine differ
    source = {"name": "tiny", "source": asked["source"], "model": asked["model"]}
    ask(prefect, "/work_pools/rnnlm/queues", {"name": "second"})
    command = ["prefect", "worker", "start", "--pool", "rnnlm", "--work-queue", "second", "--limit", "1"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    variables = {
        "PREFECT_API_URL": f"{prefect}/api",
        "PREFECT_API_AUTH_STRING": login(),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
    }
    with (tmp_path / "second.log").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment | variables | {"RNNLM_HOME": str(home)},
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            one = start(prefect, "pretrain/demo", source)
            other = start(prefect, "transfer/demo", {"experiment": asked}, queue="second")
            run_in(prefect, one, "Completed")
            run_in(prefect, other, "Completed")
        finally:
            # Asked to end, Prefect's worker may wait for its own connections for ever (3.8).
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(60)
    first, second = (ask(prefect, f"/flow_runs/{run}", method="GET") for run in (one, other))
    assert max(first["start_time"], second["start_time"]) < min(first["end_time"], second["end_time"]), "both at once"
    # Either may come first.
    lines = ask(prefect, "/logs/filter", {"logs": {"flow_run_id": {"any_": [one, other]}}})
    assert any("Another run is at pretrain with the same input" in line["message"] for line in lines)
    found = mlflow.get_experiment_by_name("tiny").experiment_id
    trained = [run for run in mlflow.search_runs([found]) if run.info.run_name == "pretrain"]
    # The one that waited has a copy of the other's.
    assert ["rnnlm.copy_of" in run.data.tags for run in trained].count(False) == 1

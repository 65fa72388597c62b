"""Runs that a killed process left running are ended by the next one; those of the living are left alone."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import mlflow
import pytest

from rnnlm.process import alone, dead_processes, this_process
from rnnlm.tracking import mlflow as tracking

BEGIN = """
import sys, time
from rnnlm.tracking import mlflow as tracking
parent = tracking.flow_run("tiny", "the killed one", "killed", {})
with tracking.MlflowRun(parent).child("pretrain", {}, {}, {}):
    print("begun", flush=True)
    time.sleep(600)
"""


def status() -> dict[str, str]:
    client = mlflow.MlflowClient()
    experiments = [one.experiment_id for one in client.search_experiments()]
    return {run.info.run_name: run.info.status for run in client.search_runs(experiments)}


def test_a_killed_process_leaves_no_run_running(mlflow_store: str) -> None:
    environment = os.environ | {"MLFLOW_TRACKING_URI": mlflow_store}
    process = subprocess.Popen([sys.executable, "-c", BEGIN], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "begun\n"
        mine = tracking.flow_run("tiny", "the living one", "living", {})
        assert status() == {"killed": "RUNNING", "pretrain": "RUNNING", "living": "RUNNING"}
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        tracking.end_runs_of_the_dead()
        assert status() == {"killed": "KILLED", "pretrain": "KILLED", "living": "RUNNING"}
        # A retry of the flow run goes on with its run.
        tracking.flow_run("tiny", "the killed one", "killed", {})
        assert status()["killed"] == "RUNNING"
        tracking.end_runs_of_the_dead()
        assert status()["killed"] == "RUNNING"
        tracking.finish(mine, "FINISHED")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_this_process_lives_and_what_is_dead_is_forgotten_once_it_is_cleared_up(mlflow_store: str) -> None:
    assert mlflow_store
    me = this_process()
    assert me == this_process()
    folder = Path(os.environ["RNNLM_HOME"]) / "processes"
    (folder / "dead").touch()
    try:
        with dead_processes() as dead:
            assert dead == {"dead"}
            raise ConnectionError
    except ConnectionError:
        assert (folder / "dead").exists(), "it is cleared up another time"
    with dead_processes() as dead:
        assert dead == {"dead"}
    assert [file.name for file in folder.iterdir()] == [me]


def test_one_does_it_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        def waiting() -> None:
            order.append("waits")
            waits.set()

        with alone("pretrain-1", waiting):
            order.append("second")

    thread = threading.Thread(target=second)
    with alone("pretrain-1", lambda: order.append("never")), alone("pretrain-2", lambda: order.append("never")):
        thread.start()
        assert waits.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["waits", "first", "second"]

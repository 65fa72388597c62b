"""The cells of a comparison on several processes: the same bits as one after the other."""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from rnnlm.errors import ConfigError
from rnnlm.experiment import Experiment, check_experiment
from rnnlm.flows.runners import task_runner


@pytest.fixture
def compared(settings: dict[str, Any], experiment: Experiment) -> Experiment:
    assert experiment
    settings["target"] |= {"tokenizer": None, "ngram_order": 2, "adaptations": []}
    # What is measured to be faster is kept in the workplace, and each runner has one of its own here.
    for training in (
        settings["source"]["language_model"],
        *(settings["target"][k] for k in ("language_model", "classifier")),
    ):
        training["precision"] = "float32"
    settings["comparison"] = {
        "arms": ["scratch", "tfidf", "target_text", "parameter", "backward", "both"],
        "labels": [20],
        "seeds": 2,
    }
    return check_experiment(settings)


def test_the_runner_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(task_runner(), ThreadPoolTaskRunner)
    monkeypatch.setenv("RNNLM_RUNNER", "processes")
    monkeypatch.setenv("RNNLM_RUNNER_WORKERS", "3")
    runner = task_runner()
    assert isinstance(runner, ProcessPoolTaskRunner)
    assert runner._max_workers == 3


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RNNLM_RUNNER": "threads"}, "RNNLM_RUNNER: .*'threads'.* sequential, processes, dask, ray"),
        ({"RNNLM_RUNNER_WORKERS": "0"}, "RNNLM_RUNNER_WORKERS: '0' is no number of workers"),
        ({"RNNLM_RUNNER_WORKERS": "two"}, "RNNLM_RUNNER_WORKERS: 'two' is no number of workers"),
    ],
)
def test_a_runner_that_there_is_not_is_named(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        task_runner()


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "prefect_ray.task_runners", None)
    monkeypatch.setenv("RNNLM_RUNNER", "ray")
    with pytest.raises(ConfigError, match=r"pip install 'rnnlm\[ray\]'"):
        task_runner()


@pytest.fixture
def run(
    compared: Experiment, tmp_path: Path, mlflow_store: str, prefect: None, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, str]]:
    """Return what runs the comparison, with nothing in the cache, and returns the digest of each cell's files."""
    from rnnlm.flows.transfer import transfer

    # Other processes do not know what this one was told.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)

    # The tiny corpus has shards, too.
    monkeypatch.setattr("rnnlm.corpus.documents._ROWS", 16)
    monkeypatch.setattr("rnnlm.tokens.encode._SHARD_ROW_GROUPS", 2)

    def digests(name: str) -> dict[str, str]:
        home = tmp_path / name
        monkeypatch.setenv("RNNLM_HOME", str(home))
        monkeypatch.setenv("RNNLM_RUNNER", name)
        with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: home / "results"}):
            report = transfer.with_options(task_runner=task_runner())(compared)
        verdict = json.loads((report.path / "verdict.json").read_text(encoding="utf-8"))
        assert any(home.glob("store/train_tokenizer-*")) == (name != "sequential")
        assert not any(home.glob("store/encode-*")), "joined and removed"
        files = {name: verdict["digests"][name] for name in ("source tokens", "target tokens")}
        for cell in verdict["cells"]:
            for file in sorted((home / "store" / cell["output"]).glob("*.[ps]a*")):  # .parquet, .safetensors
                place = f"{cell['task']} {cell['arm']} {cell['labels']} {cell['seed']} {file.name}"
                files[place] = hashlib.sha256(file.read_bytes()).hexdigest()
        return files

    return digests


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("runner", ["processes", "dask", "ray"])
def test_all_runners_give_the_same_bits(runner: str, run: Callable[[str], dict[str, str]]) -> None:
    if runner == "ray":
        pytest.importorskip("ray")
    expected = run("sequential")
    assert len(expected) > 20
    assert run(runner) == expected


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("runner", ["processes", "dask"])
def test_one_of_two_workers_is_killed_and_the_run_ends_right(
    runner: str, run: Callable[[str], dict[str, str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = run("sequential")
    killed: list[int] = []

    def kill() -> None:
        client, end = MlflowClient(), time.monotonic() + 300
        while not killed and time.monotonic() < end:
            names = {path.name for path in (tmp_path / runner / "processes").glob("[!.]*")}
            experiment = client.get_experiment_by_name("tiny")
            runs = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'") if experiment else []
            for one in runs:
                # A training of another process than this one, which holds the run of the flow.
                if "classifier" in str(one.info.run_name) and one.data.tags["rnnlm.process"] in names:
                    process = next(
                        (
                            p
                            for p in psutil.Process().children(recursive=True)
                            if _holds(p, one.data.tags["rnnlm.process"])
                        ),
                        None,
                    )
                    if process is not None:
                        process.kill()
                        killed.append(process.pid)
                        break
            time.sleep(0.05)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    assert run(runner) == expected
    thread.join(10)
    assert killed
    client = MlflowClient()
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    status = Counter(one.info.status for one in client.search_runs([experiment.experiment_id]))
    assert set(status) == {"FINISHED", "KILLED"}


def _holds(process: psutil.Process, name: str) -> bool:
    """Tell whether a process holds the lock of this name (rnnlm/process.py)."""
    links = Path(f"/proc/{process.pid}/fd")
    try:
        return any(link.resolve().name == name for link in links.iterdir())
    except OSError:
        return False

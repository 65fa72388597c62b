"""The cells of a comparison on several processes: the same bits as one after the other."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from flows.runners import task_runner
from rnnlm.config import Experiment, check_experiment
from rnnlm.errors import ConfigError


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
    """Give what runs the comparison by a runner, with nothing in the cache; gives the digest of each cell's files."""
    from flows.transfer import transfer

    # Other processes do not know what this one was told.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)

    def digests(name: str) -> dict[str, str]:
        home = tmp_path / name
        monkeypatch.setenv("RNNLM_HOME", str(home))
        monkeypatch.setenv("RNNLM_RUNNER", name)
        with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: home / "results"}):
            report = transfer.with_options(task_runner=task_runner())(compared)
        verdict = json.loads((report.path / "verdict.json").read_text(encoding="utf-8"))
        files = {}
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

"""What a step has put into MLflow is looked for before the step is called done."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import ViewType
from prefect import flow
from prefect.runtime import flow_run

from rnnlm.flows.recording import ended, recorded_run
from rnnlm.refs import CheckpointRef, ModelRef, TokensRef
from rnnlm.steps.step import Place, step
from rnnlm.store import sqlite_address, whole_folder
from rnnlm.tasks.register import register

TRAINED: list[str] = []


@step(version=1)
def train(place: Place, text: str) -> CheckpointRef:
    """Write what looks like a checkpoint."""
    TRAINED.append(text)
    with place.tracker.child("pretrain", {"text": text}, {}, {}) as run:
        with whole_folder(place.folder) as folder:
            (folder / "model.json").write_text('{"labels": []}')
            (folder / "history.json").write_text('[{"step": 1, "metrics": {"nll": 2.5}}]')
        run.log_metrics({"valid/nll": 2.5})
        return CheckpointRef(
            path=place.folder,
            sha256=text,
            kind="language_model",
            metrics={"valid/nll": 2.5},
            seconds=1.0,
            tokens_sha256="70ce",
            recorded_as=run.run_id,
        )


@flow(name="source")
def source(text: str) -> ModelRef:
    """Train and register, as the flow `pretrain` does."""
    tokens = TokensRef(
        path=Path("/t"),
        sha256="70ce",
        tokenizer_sha256="70",
        documents_sha256="d0c5",
        vocabulary_size=9,
        tokens={},
        unknown={},
        documents={},
        labels=[],
    )
    with recorded_run("tiny", {"text": text}) as runner:
        checkpoint = runner.run(train, text)
        return ended(runner.run(register, "tiny", checkpoint, tokens, "{}", str(flow_run.id)), runner)


def unchanged(text: str) -> bool:
    return bool(source(text, return_state=True).name == "Unchanged")


def trainings() -> list[Any]:
    """Return the trainings' runs that a person sees in MLflow, those below a flow run that he sees as well."""
    client = mlflow.MlflowClient()
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = {run.info.run_id: run for run in client.search_runs(experiments)}
    return [run for run in runs.values() if run.data.tags.get("mlflow.parentRunId") in runs]


def delete_version(client: mlflow.MlflowClient) -> None:
    client.delete_model_version("tiny-source", "1")


def delete_model(client: mlflow.MlflowClient) -> None:
    client.delete_registered_model("tiny-source")


def delete_model_and_register_another(client: mlflow.MlflowClient) -> None:
    client.delete_registered_model("tiny-source")
    client.create_registered_model("tiny-source")
    client.create_model_version("tiny-source", "file:///nowhere", await_creation_for=0)


def delete_its_files(client: mlflow.MlflowClient) -> None:
    source = str(client.get_model_version("tiny-source", "1").source)
    location = client.get_logged_model(source.removeprefix("models:/")).artifact_location
    shutil.rmtree(location.removeprefix("file://"))


def delete_runs(client: mlflow.MlflowClient) -> None:
    for run in client.search_runs(["1"]):
        client.delete_run(run.info.run_id)


def delete_the_flow_runs(client: mlflow.MlflowClient) -> None:
    for run in client.search_runs(["1"], "tags.`prefect.flow_run_id` LIKE '%'"):
        client.delete_run(run.info.run_id)


def delete_runs_for_good(client: mlflow.MlflowClient) -> None:
    delete_runs(client)
    for run in client.search_runs(["1"], run_view_type=ViewType.ALL):
        client._tracking_client.store._hard_delete_run(run.info.run_id)  # what `mlflow gc` calls


def delete_experiment(client: mlflow.MlflowClient) -> None:
    client.delete_experiment("1")


def use_another_store(_: mlflow.MlflowClient) -> None:
    mlflow.set_tracking_uri(sqlite_address(Path("second.db").absolute()))


def use_another_store_with_a_model_of_that_name(client: mlflow.MlflowClient) -> None:
    use_another_store(client)
    client = mlflow.MlflowClient()
    client.create_registered_model("tiny-source")
    client.create_model_version("tiny-source", "file:///nowhere", await_creation_for=0)


@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize(
    "change",
    [
        delete_version,
        delete_model,
        delete_model_and_register_another,
        delete_its_files,
        delete_runs,
        delete_the_flow_runs,
        delete_runs_for_good,
        delete_experiment,
        use_another_store,
        use_another_store_with_a_model_of_that_name,
    ],
)
def test_what_is_not_in_mlflow_now_is_put_there_again(
    change: Callable[[mlflow.MlflowClient], None], mlflow_store: str, tmp_path: Path
) -> None:
    assert mlflow_store
    shutil.copy(tmp_path / "mlflow" / "mlflow.db", "second.db")
    text = change.__name__
    source(text)
    assert unchanged(text), "nothing is done again where all is there"
    change(mlflow.MlflowClient())
    model = source(text)
    client = mlflow.MlflowClient()
    champion = client.get_model_version_by_alias("tiny-source", "champion")
    assert (int(champion.version), champion.source) == (model.version, model.source)
    assert (Path(mlflow.artifacts.download_artifacts(model.uri)) / "MLmodel").is_file()
    found = trainings()
    assert {run.data.metrics["valid/nll"] for run in found} == {2.5}
    assert {run.data.params["text"] for run in found} == {text}
    assert unchanged(text)
    assert len(trainings()) == len(found)
    assert TRAINED.count(text) == 1, "nothing is trained again"


@pytest.mark.usefixtures("prefect")
def test_two_stores_by_turns(mlflow_store: str, tmp_path: Path) -> None:
    """Each has the model once."""
    shutil.copy(tmp_path / "mlflow" / "mlflow.db", "second.db")
    stores = (mlflow_store, sqlite_address(tmp_path / "second.db"))
    for uri in stores * 2:
        mlflow.set_tracking_uri(uri)
        model = source("by turns")
        assert model.version == 1
        assert mlflow.MlflowClient().get_model_version("tiny-source", "1").source == model.source
        assert len(mlflow.MlflowClient().search_model_versions("name = 'tiny-source'")) == 1
    assert TRAINED.count("by turns") == 1

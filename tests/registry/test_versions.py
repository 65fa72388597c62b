import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Metric

import rnnlm.registry
from rnnlm import settings as config
from rnnlm.errors import DataError, StoreError
from rnnlm.refs import CheckpointRef
from rnnlm.registry import check_store, checkpoint_folder, register
from rnnlm.registry.lineage import lineage
from rnnlm.store import file_sha256
from rnnlm.tokens import TextTokenizer
from rnnlm.tokens.kinds import train

TEXTS = ["the film was a delight", "一部很好的电影", "فيلم جميل جدا", "great 😀👨‍👩‍👧 fun", ""]
LINEAGE = {"rnnlm.documents": "d0c5", "rnnlm.tokens": "70ce", "prefect.flow_run_id": "first"}
METRICS = {"valid/perplexity": 12.5, "valid/nll": 2.5257}

# What a caller does who has MLflow and what the model requires, but nothing of ours.
STRANGER = """
import importlib.util, json, sys
sys.meta_path = [finder for finder in sys.meta_path if "__editable__" not in getattr(finder, "__module__", "")]
sys.path = [place for place in sys.path if place not in sys.argv[2:]]
assert importlib.util.find_spec("rnnlm") is None, "a package of ours is in the way"
import mlflow
rows = {}
for uri in ("models:/tiny@champion", "models:/tiny-classifier@champion"):
    model = mlflow.pyfunc.load_model(uri)
    rows[uri] = model.predict(json.loads(sys.argv[1]))
import rnnlm.model.lstm
json.dump({"rows": rows, "code": rnnlm.model.lstm.__file__, "prefect": "prefect" in sys.modules}, sys.stdout)
"""


def write_checkpoint(folder: Path, labels: list[str]) -> CheckpointRef:
    """Write a real checkpoint of random weights."""
    from rnnlm.model.checkpoint import Checkpoint, Description, get_weights
    from rnnlm.model.language_model import LanguageModel
    from rnnlm.model.target_model import TargetModel

    folder.mkdir()
    train(config.Tokenizer(vocabulary_size=60), [TEXTS[:-1]] * 3).save(str(folder / "tokenizer.json"))
    size = TextTokenizer.load(folder / "tokenizer.json").size
    settings = config.Model(embedding=8, hidden=8, layers=1)
    training = config.ClassifierTraining(max_tokens=16) if labels else None
    model = TargetModel(settings, training, size, len(labels)) if training else LanguageModel(settings, size)
    kind: Any = "classifier" if labels else "language_model"
    description = Description(kind=kind, settings=settings, vocabulary_size=size, classifier=training, labels=labels)
    Checkpoint(description, get_weights(model)).save(folder, Path(folder / "tokenizer.json").rename(folder / "t"))
    (folder / "t").unlink()
    return CheckpointRef(
        path=folder,
        sha256=file_sha256(folder / "weights.safetensors"),
        kind=kind,
        metrics=METRICS,
        seconds=1.0,
        tokens_sha256="70ce",
        recorded_as="",
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> CheckpointRef:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "a folder, 100%", [])


@pytest.fixture
def client(mlflow_store: str) -> mlflow.MlflowClient:
    return mlflow.MlflowClient()


@pytest.fixture
def run_id(client: mlflow.MlflowClient) -> str:
    return str(client.create_run("0").info.run_id)


def versions(client: mlflow.MlflowClient, name: str = "tiny") -> list[Any]:
    return list(client.search_model_versions(f"name = '{name}'"))


def logged(client: mlflow.MlflowClient) -> list[Any]:
    return list(client.search_logged_models(["0"]))


def champion(checkpoint: CheckpointRef, run_id: str, tags: dict[str, str] = LINEAGE) -> Any:
    return register(checkpoint, name="tiny", alias="champion", run_id=run_id, tags=tags)


def test_a_stranger_loads_and_uses_it(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str, mlflow_store: str, tmp_path: Path
) -> None:
    from mlflow.pyfunc import PythonModelContext

    from rnnlm.serving import TextModel

    classifier = write_checkpoint(tmp_path / "classifier", ["neg", "pos"])
    champion(checkpoint, run_id)
    register(classifier, name="tiny-classifier", alias="champion", run_id=run_id, tags=LINEAGE)
    ours = {str(place) for place in sys.path if (Path(place or ".") / "rnnlm").is_dir()}
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, json.dumps(TEXTS), *ours],
        cwd="/",
        env=os.environ | {"MLFLOW_TRACKING_URI": mlflow_store},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert "code/rnnlm/model/lstm.py" in answer["code"]
    carried = {file.name for file in Path(answer["code"]).parents[1].iterdir()}
    assert "model" in carried
    assert not carried & {"cli", "deployments", "flows", "stack", "tasks"}
    assert str(Path(rnnlm.registry.__file__).parents[1]) not in answer["code"]
    assert not answer["prefect"]
    for ref, uri in (
        (checkpoint, "models:/tiny@champion"),
        (classifier, "models:/tiny-classifier@champion"),
    ):
        direct = TextModel()
        direct.load_context(PythonModelContext({"checkpoint": str(ref.path)}, None))
        wanted = direct.predict(PythonModelContext({}, None), TEXTS)
        for got, row in zip(answer["rows"][uri], wanted, strict=True):
            assert got.keys() == row.keys()
            assert got.get("label") == row.get("label")
            assert numbers(got) == pytest.approx(numbers(row), abs=1e-6)


def numbers(row: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in (row | row.get("probabilities", {})).items() if isinstance(value, int | float)}


def test_a_version_says_what_it_is(checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str) -> None:
    long = json.dumps({"configuration": "x" * 200_000})
    ref = champion(checkpoint, run_id, LINEAGE | {"rnnlm.config": long})
    assert (ref.name, ref.version, ref.alias, ref.uri) == ("tiny", 1, "champion", "models:/tiny/1")
    version = client.get_model_version_by_alias("tiny", "champion")
    assert version.run_id == run_id
    assert LINEAGE.items() <= version.tags.items()
    assert version.tags["rnnlm.checkpoint"] == checkpoint.sha256
    assert version.tags["rnnlm.config"].startswith("sha256:")
    info = mlflow.models.get_model_info(ref.uri)
    assert info.metadata is not None
    assert info.metadata["rnnlm.config"] == long
    assert info.signature is not None
    assert info.signature.inputs.to_dict() == [{"type": "string", "required": True}]
    assert info.signature.outputs.input_names() == ["nll", "tokens", "perplexity", "bits_per_character"]
    assert {metric.key: metric.value for metric in logged(client)[0].metrics} == METRICS
    outputs = client.get_run(run_id).outputs
    assert outputs is not None
    assert [output.model_id for output in outputs.model_outputs] == [logged(client)[0].model_id]
    folder = Path(mlflow.artifacts.download_artifacts(ref.uri))
    assert (
        f"tensorflow=={importlib.metadata.version('tensorflow')}" in (folder / "requirements.txt").read_text().split()
    )
    assert not list(folder.rglob("__pycache__"))


def test_the_tasks_stand_in_the_signature(checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str) -> None:
    ref = champion(checkpoint, run_id)
    info = mlflow.models.get_model_info(ref.uri)
    assert info.signature is not None
    assert info.signature.params is not None
    declared = {param["name"]: param for param in info.signature.params.to_dict()}
    assert declared["task"]["default"] == "score"
    assert declared["max_tokens"] == {"name": "max_tokens", "type": "long", "default": 20, "shape": None}
    assert declared["temperature"] == {"name": "temperature", "type": "double", "default": 0.0, "shape": None}
    assert declared["scores"] == {"name": "scores", "type": "double", "default": [], "shape": (-1,)}


def test_mlflow_passes_tasks_on_as_its_server_does(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str, tmp_path: Path
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    model: Any = mlflow.pyfunc.load_model(champion(checkpoint, run_id).uri)

    def ask(inputs: list[str], **params: Any) -> Any:
        body = json.dumps({"inputs": inputs} | ({"params": params} if params else {}))
        answer = invocations(body.encode(), "application/json", model, model.metadata.get_input_schema())
        assert answer.status == 200
        return json.loads(answer.response)["predictions"]

    assert [set(row) for row in ask(TEXTS)] == [{"nll", "tokens", "perplexity", "bits_per_character"}] * 5
    (row,) = ask(["the film"], task="complete", max_tokens=3, n=2, temperature=1)
    assert [one["text"].startswith("the film") for one in row["completions"]] == [True, True]
    assert sorted(row["rank"] for row in ask(TEXTS, task="rescore", scores=[1, 2, 3, 4, 5])) == [1, 2, 3, 4, 5]
    (row,) = ask(["the flim"], task="correct", penalty=0.0)
    assert row["text"] == "the film"
    for params, named in (
        ({"task": "complete", "beams": 0}, "beams: .*greater than or equal to 1"),
        ({"task": "complete", "n": "three"}, "'n'.*long"),
        ({"task": "rescore", "scores": [0.5]}, "scores: 1 scores for 5"),
    ):
        with pytest.raises(MlflowException, match=named) as caught:
            ask(TEXTS, **params)
        assert caught.value.get_http_status_code() == 400


def test_what_was_registered_before_it_could_do_this_gets_a_new_version(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(rnnlm.registry.versions, "SERVING", "1")
        champion(checkpoint, run_id)
    assert champion(checkpoint, run_id).version == 2
    assert champion(checkpoint, run_id).version == 2


def test_a_checkpoint_is_found_by_its_models_address(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str
) -> None:
    ref = champion(checkpoint, run_id)
    for address in (ref.uri, "models:/tiny@champion"):
        folder = checkpoint_folder(address)
        assert file_sha256(folder / "weights.safetensors") == checkpoint.sha256
        assert (folder / "tokenizer.json").is_file()


@pytest.mark.parametrize("address", ["models:/tiny@nobody", "models:/tiny/7", "models:/nothing/1", "models:/tiny"])
def test_a_model_that_does_not_exist_is_named(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str, address: str
) -> None:
    champion(checkpoint, run_id)
    with pytest.raises(DataError) as caught:
        checkpoint_folder(address)
    assert caught.value.where == address
    assert "rnnlm up" in caught.value.remedy


def test_the_classes_stand_in_the_signature(client: mlflow.MlflowClient, run_id: str, tmp_path: Path) -> None:
    ref = champion(write_checkpoint(tmp_path / "classifier", ["neg", "très bon 🙂"]), run_id)
    signature = mlflow.models.get_model_info(ref.uri).signature
    assert signature is not None
    label, probabilities = signature.outputs.to_dict()
    assert label["name"] == "label"
    assert set(probabilities["properties"]) == {"neg", "très bon 🙂"}


def test_its_lineage_has_settings_that_are_too_long_for_a_tag(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str
) -> None:
    settings = {"corpus": {"files": [f"news {n}.txt" for n in range(1_000)]}}
    ref = champion(checkpoint, run_id, LINEAGE | {"rnnlm.configuration": json.dumps(settings)})
    found = lineage(ref.uri)
    assert found.configuration == settings
    assert found.facts["checkpoint"] == checkpoint.sha256
    assert found.facts["code"].startswith(f"rnnlm {importlib.metadata.version('rnnlm')}")
    assert found.facts["aliases"] == "champion"


def test_twice_makes_one_version(checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str) -> None:
    first = champion(checkpoint, run_id)
    again = champion(checkpoint, run_id, LINEAGE | {"prefect.flow_run_id": "second"})
    assert again == first
    assert len(versions(client)) == len(logged(client)) == 1
    assert versions(client)[0].tags["prefect.flow_run_id"] == "first"
    assert len(client.get_metric_history(run_id, "valid/nll")) == 1


def test_other_lineage_makes_another_version(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str
) -> None:
    champion(checkpoint, run_id)
    assert champion(checkpoint, run_id, LINEAGE | {"rnnlm.tokens": "other"}).version == 2
    other = checkpoint.model_copy(update={"sha256": "other"})
    assert champion(other, run_id).version == 3
    assert champion(checkpoint, run_id).version == 1
    assert int(client.get_model_version_by_alias("tiny", "champion").version) == 1


@pytest.mark.parametrize(
    ("when", "step"),
    [
        ("before", "log_model_artifacts"),
        ("after", "log_model_artifacts"),
        ("after", "finalize_logged_model"),
        ("after", "create_registered_model"),
        ("after", "create_model_version"),
        ("after", "log_batch"),
    ],
)
def test_a_retry_finishes_what_a_crash_left(
    checkpoint: CheckpointRef,
    client: mlflow.MlflowClient,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    step: str,
) -> None:
    kept = getattr(mlflow.MlflowClient, step)

    def crash(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            kept(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, step, crash)
        with pytest.raises(KeyboardInterrupt):
            champion(checkpoint, run_id)
    assert champion(checkpoint, run_id).version == 1
    assert len(versions(client)) == 1
    version = client.get_model_version_by_alias("tiny", "champion")
    assert (LINEAGE | {"rnnlm.checkpoint": checkpoint.sha256}).items() <= version.tags.items()
    [model] = [model for model in logged(client) if model.status == "READY"]
    assert version.source == f"models:/{model.model_id}"
    assert {metric.key: metric.value for metric in model.metrics or []} == METRICS


def test_what_was_deleted_by_hand_comes_back(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str
) -> None:
    champion(checkpoint, run_id)
    client.delete_registered_model_alias("tiny", "champion")
    client.delete_model_version_tag("tiny", "1", "prefect.flow_run_id")
    champion(checkpoint, run_id)
    version = client.get_model_version_by_alias("tiny", "champion")
    assert version.tags["prefect.flow_run_id"] == "first"


def test_the_learning_curve_stays_as_it_was(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str
) -> None:
    curve = [(0, 90.0), (10, 12.5), (20, 13.0)]
    client.log_batch(run_id, [Metric("valid/perplexity", value, 1, step) for step, value in curve])
    champion(checkpoint, run_id)
    history = client.get_metric_history(run_id, "valid/perplexity")
    assert {(point.step, point.value) for point in history} == set(curve)
    assert {metric.key: metric.value for metric in logged(client)[0].metrics} == METRICS


def test_a_checkpoint_that_is_gone_is_named(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="nowhere"):
        champion(checkpoint.model_copy(update={"path": tmp_path / "nowhere"}), run_id)
    assert not logged(client)


def test_a_run_that_does_not_exist_is_named(checkpoint: CheckpointRef, mlflow_store: str) -> None:
    with pytest.raises(StoreError, match="0123456789"):
        champion(checkpoint, "0123456789" * 3)


def test_a_server_that_does_not_answer_is_an_error_at_once(
    checkpoint: CheckpointRef, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    mlflow.set_tracking_uri(f"http://me:secret@{address}")
    start = time.monotonic()
    with pytest.raises(StoreError) as caught:
        champion(checkpoint, "run")
    assert time.monotonic() - start < 20
    assert caught.value.where == f"http://{address}"
    assert caught.value.remedy
    assert "secret" not in str(caught.value)


def test_a_database_that_is_none_is_an_error_at_once(mlflow_store: str, tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("this is no database, but it is long enough to be taken for one " * 20)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'broken.db'}")
    start = time.monotonic()
    with pytest.raises(StoreError, match=r"broken\.db.*not a database"):
        check_store()
    assert time.monotonic() - start < 5


class Repeating:
    """MLflow's client where the answers to some requests are lost: it sends them again."""

    def __init__(self, client: mlflow.MlflowClient, lost: str) -> None:
        self._client, self._lost = client, lost

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._client, name)

        def twice(*args: Any, **named: Any) -> Any:
            function(*args, **named)
            return function(*args, **named)

        return twice if name == self._lost else function


@pytest.mark.parametrize("lost", ["create_logged_model", "create_model_version"])
def test_a_lost_answer_leaves_nothing_twice(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    real = mlflow.MlflowClient
    with monkeypatch.context() as losing:
        losing.setattr(mlflow, "MlflowClient", lambda: Repeating(real(), lost))
        ref = champion(checkpoint, run_id)
    assert [int(one.version) for one in versions(client)] == [ref.version]
    assert [one.status for one in logged(client)] == ["READY"]
    assert champion(checkpoint, run_id).version == ref.version


def test_a_model_that_a_killed_process_began_to_log_is_deleted(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str, tmp_path: Path
) -> None:
    from rnnlm.tracking.mlflow import end_runs_of_the_dead

    script = """
import os, signal, sys
import mlflow
from rnnlm.refs import CheckpointRef
from rnnlm.registry import register
mlflow.MlflowClient.log_model_artifacts = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
register(CheckpointRef.model_validate_json(sys.argv[1]), name="tiny", alias="champion", run_id=sys.argv[2], tags={})
"""
    variables = os.environ | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    command = [sys.executable, "-c", script, checkpoint.model_dump_json(), run_id]
    assert subprocess.run(command, env=variables, check=False, capture_output=True).returncode == -9
    assert [one.status for one in logged(client)] == ["PENDING"]
    end_runs_of_the_dead()
    assert logged(client) == []
    assert champion(checkpoint, run_id).version == 1


def test_the_server_answers_within_its_limits(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.pyfunc import scoring_server
    from starlette.testclient import TestClient

    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "false")  # the server sets it; this takes it back
    for name, value in (("TEXTS", "2"), ("AT_ONCE", "1"), ("WAIT", "0")):
        monkeypatch.setenv(f"RNNLM_SERVE_{name}", value)
    model: Any = mlflow.pyfunc.load_model(champion(checkpoint, run_id).uri)
    server = TestClient(scoring_server.init(model))

    def ask(inputs: list[str]) -> Any:
        return server.post("/invocations", json={"inputs": inputs})

    assert ask(TEXTS[:2]).status_code == 200
    too_large = ask(TEXTS)
    assert too_large.status_code == 413
    assert "5 texts, and this server allows 2" in too_large.json()["message"]
    assert TEXTS[1] not in too_large.text
    with model.unwrap_python_model().gate.place():
        busy = ask(TEXTS[:2])
    assert busy.status_code == 503
    assert "Send the request again later" in busy.json()["message"]
    assert ask(TEXTS[:2]).status_code == 200


def test_what_the_alias_of_a_person_points_to_is_no_duplicate(
    checkpoint: CheckpointRef, client: mlflow.MlflowClient, run_id: str
) -> None:
    ref = champion(checkpoint, run_id)
    source, tags = str(client.get_model_version("tiny", str(ref.version)).source), LINEAGE
    mine = client.get_model_version("tiny", str(ref.version))
    client.set_registered_model_alias("tiny", "mine", str(mine.version))
    again = client.create_model_version("tiny", source, run_id, tags=mine.tags)
    rnnlm.registry.versions._delete_others(client, again, tags)
    assert len(versions(client)) == 2
    client.delete_registered_model_alias("tiny", "mine")
    client.delete_registered_model_alias("tiny", "champion")
    rnnlm.registry.versions._delete_others(client, again, tags)
    assert [one.version for one in versions(client)] == [again.version]

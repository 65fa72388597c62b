"""From a checkpoint to a version of a registered model that takes text."""

import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version as installed
from pathlib import Path

import mlflow
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array, Object, ParamSchema, ParamSpec, Property
from mlflow.utils.git_utils import get_git_commit

from rnnlm.checksums import checked
from rnnlm.errors import DataError
from rnnlm.inference.settings import default_task, parameters
from rnnlm.mlflow_store import answering, check_store, pages
from rnnlm.process import this_process
from rnnlm.refs import CheckpointRef, ModelRef
from rnnlm.registry.address import NOT_THERE, missing_is_named
from rnnlm.registry.aliases import CHAMPION, champion, promote
from rnnlm.store import made_anew
from rnnlm.tracking.mlflow import PROCESS_TAG

CHECKPOINT_TAG = "rnnlm.checkpoint"
CONFIGURATION_TAG = "rnnlm.configuration"  # the settings that it was trained with, as JSON
SOURCE_TAG = "rnnlm.source"  # of a target model: its source model
CODE_TAG = "rnnlm.code"  # the code that registered it: the package's version, and the commit if it is known
# Who asked, and with which code. These do not make another version of the same model from the same texts.
NOT_LINEAGE = ("prefect", CODE_TAG)
# What a registered model takes and allows. Another number makes another version of the same checkpoint.
SERVING_TAG, SERVING = "rnnlm.serving", "3"  # 2: tasks as parameters; 3: limits of a server
LONGEST_TAG = 4_000  # characters; 5,000 is the smallest limit of all stores

# What rnnlm.serving imports. Without this list, MLflow would load the model in another process to find out.
REQUIREMENTS = (
    "mlflow",
    "tensorflow",
    "keras",
    "numpy",
    "pyarrow",
    "tokenizers",
    "safetensors",
    "pydantic",
    "pyyaml",
    "fsspec",
)
_PACKAGE = Path(__file__).resolve().parents[1]
# What runs experiments; in a checkout there may be a password in deployments/.env.
NOT_OF_THE_MODEL = ("cli", "deployments", "flows", "stack", "tasks", "__pycache__")


def register(checkpoint: CheckpointRef, *, name: str, alias: str, run_id: str, tags: dict[str, str]) -> ModelRef:
    """Make a checkpoint a version of a registered model, and move the alias to it.

    A version of this checkpoint with these tags is used again. So is a model that an earlier attempt logged without
    registering it. A retry only does what is missing, whichever step the earlier attempt ended after.

    Args:
        checkpoint: What to register.
        name: Name of the registered model, which is created if it does not exist.
        alias: Alias that points to the version afterwards. A champion stays champion, whatever the alias is.
        run_id: The MLflow run that the model belongs to.
        tags: Lineage of the version. A value that is too long for a tag is replaced by its digest; the model's metadata
            have all of them in full. Tags that begin with `prefect` say who asked. They do not make another version.

    Raises:
        DataError: If the checkpoint's folder is missing, or is not a checkpoint.
        StoreError: If MLflow does not answer, or does not do what it is asked.
    """
    tags = {**tags, CHECKPOINT_TAG: checkpoint.sha256, SERVING_TAG: SERVING, CODE_TAG: _code()}
    check_store()
    with answering():
        client = mlflow.MlflowClient()
        found = _find_version(client, name, tags)
        if found is None:
            model = _find_model(client, run_id, tags) or _log_model(client, checkpoint, name, run_id, tags)
            found = _create_version(client, name, model, tags)
            _delete_others(client, found, tags)
        for key, value in _short(tags).items():
            if key not in found.tags:
                client.set_model_version_tag(name, found.version, key, value)
        _log_metrics(client, found, checkpoint.metrics)
        ref = ModelRef(
            name=name,
            version=int(found.version),
            alias=alias,
            uri=f"models:/{name}/{found.version}",
            source=str(found.source),
        )
        if alias == CHAMPION:
            return promote(ref, "it was trained last")
        if champion(name) == ref.model_copy(update={"alias": CHAMPION}):
            return ref.model_copy(update={"alias": CHAMPION})
        client.set_registered_model_alias(name, alias, found.version)
    return ref


def is_registered(model: ModelRef) -> bool:
    """Return whether the registry has this version of exactly this model, with the model's files.

    Raises:
        StoreError: If MLflow does not answer.
    """
    check_store()
    with answering():
        client = mlflow.MlflowClient()
        try:
            version = client.get_model_version(model.name, str(model.version))
        except MlflowException as error:
            if error.error_code not in NOT_THERE:
                raise
            return False
        return version.source == model.source and _has_files(client, str(version.source))


def _has_files(client: mlflow.MlflowClient, source: str) -> bool:
    """Return whether a logged model, `models:/m-…`, exists with its files."""
    try:
        return bool(client.list_logged_model_artifacts(source.removeprefix("models:/")))
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
        return False


def checkpoint_folder(model: str) -> Path:
    """Return the folder of a model's checkpoint. Fetch it from MLflow if it is not on this machine.

    Args:
        model: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        DataError: If there is no such model, or rnnlm did not register it.
        StoreError: If MLflow does not answer.
    """
    check_store()
    with answering():
        with missing_is_named(model):
            folder = Path(mlflow.artifacts.download_artifacts(model))
        artifacts = Model.load(folder).flavors.get("python_function", {}).get("artifacts") or {}
    if "checkpoint" not in artifacts:
        raise DataError("this model was not registered by rnnlm", where=model, remedy="Name another one.")
    return folder / str(artifacts["checkpoint"]["path"])


def _find_version(client: mlflow.MlflowClient, name: str, tags: Mapping[str, str]) -> ModelVersion | None:
    """Return the newest usable version of this checkpoint with this lineage."""
    lineage = _lineage(tags)
    # A query could also filter by tag, but some stores cannot do so for every character of a value.
    versions = pages(client.search_model_versions, filter_string=f"name = '{name}'")
    same = [v for v in versions if v.status == "READY" and lineage.items() <= v.tags.items()]
    newest_first = sorted(same, key=lambda version: int(version.version), reverse=True)
    return next((v for v in newest_first if _has_files(client, str(v.source))), None)


def _find_model(client: mlflow.MlflowClient, run_id: str, tags: Mapping[str, str]) -> LoggedModel | None:
    """Return the model that an earlier attempt logged completely but did not register."""
    models = _models(client, client.get_run(run_id).info.experiment_id, tags)
    lineage = _lineage(tags)
    same = (m for m in models if m.status == LoggedModelStatus.READY and lineage.items() <= m.tags.items())
    return next((m for m in same if _has_files(client, m.model_id)), None)


def _models(client: mlflow.MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> Iterator[LoggedModel]:
    """Return the models of this checkpoint that were logged in an experiment."""
    return pages(
        client.search_logged_models,
        experiment_ids=[experiment_id],
        filter_string=f"tags.`{CHECKPOINT_TAG}` = '{tags[CHECKPOINT_TAG]}'",
    )


def _log_model(
    client: mlflow.MlflowClient, checkpoint: CheckpointRef, name: str, run_id: str, tags: Mapping[str, str]
) -> LoggedModel:
    """Log the model that takes text into the run, with everything that is needed to load it elsewhere.

    `mlflow.pyfunc.log_model` would need the run to be this thread's active one, and would take the run's metrics of
    step 0 for the model's.
    """
    outputs = _outputs(checkpoint)
    run = client.get_run(run_id)
    model = client.create_logged_model(
        run.info.experiment_id,
        name=re.sub(r"[/:.%\"']", "-", name),
        source_run_id=run_id,
        tags=_short(tags) | {PROCESS_TAG: this_process()},
        params=run.data.params,
        model_type=checkpoint.kind,
    )
    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder, code = Path(temporary) / "model", Path(temporary) / "rnnlm"
            shutil.copytree(_PACKAGE, code, ignore=shutil.ignore_patterns(*NOT_OF_THE_MODEL))
            mlflow.pyfunc.save_model(
                folder,
                mlflow_model=Model(artifact_path=model.artifact_location, run_id=run_id, model_id=model.model_id),
                python_model=str(_PACKAGE / "serving.py"),
                artifacts={"checkpoint": str(checkpoint.path)},
                code_paths=[str(code)],
                pip_requirements=[f"{package}=={installed(package)}" for package in REQUIREMENTS],
                metadata=dict(tags),
            )
            # The input follows from the types of `predict`. The output and the parameters are declared here.
            description = Model.load(folder)
            assert description.signature is not None
            description.signature.outputs = outputs
            description.signature.params = _params(checkpoint)
            description.save(folder / "MLmodel")
            client.log_model_artifacts(model.model_id, str(folder))
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    except BaseException:
        client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
        raise
    ready = client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    # Where the answer to the first request was lost, MLflow's client has sent it again, and there are two.
    for other in _models(client, run.info.experiment_id, tags):
        is_ours = other.tags.get(PROCESS_TAG) == this_process() and other.source_run_id == run_id
        if is_ours and other.status == LoggedModelStatus.PENDING:
            client.delete_logged_model(other.model_id)
    return ready


# MLflow's names for the types of parameters.
_TYPES = {str: DataType.string, int: DataType.long, float: DataType.double}


def _params(checkpoint: CheckpointRef) -> ParamSchema:
    """Return the parameters of `rnnlm.serving.TextModel.predict`, `task` included. MLflow checks their types."""
    task = ParamSpec("task", DataType.string, default_task(checkpoint.kind))
    others = [
        ParamSpec(name, _TYPES[kind], default, shape=(-1,) if is_list else None)
        for name, kind, is_list, default in parameters()
    ]
    return ParamSchema([task, *others])


def _outputs(checkpoint: CheckpointRef) -> Schema:
    """Return the fields of a row of `rnnlm.serving.TextModel.predict` for the model's default task.

    Rows of other tasks have other fields. A signature has room for one kind of row, and MLflow checks no answer.
    """
    try:
        # Only the classes are needed, and rnnlm.model.checkpoint would load TensorFlow.
        labels = json.loads(checked(checkpoint.path / "model.json").read_text(encoding="utf-8"))["labels"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"no whole checkpoint: {error}", where=str(checkpoint.path), remedy=made_anew(checkpoint.path)
        ) from error
    if checkpoint.kind == "classifier":
        probabilities = Object([Property(label, DataType.double) for label in labels])
        return Schema([ColSpec(DataType.string, "label"), ColSpec(probabilities, "probabilities")])
    if checkpoint.kind == "tagger":
        entity = {"type": DataType.string, "text": DataType.string, "start": DataType.long, "end": DataType.long}
        lists = {"words": DataType.string, "tags": DataType.string, "probabilities": DataType.double}
        return Schema(
            [
                ColSpec(DataType.string, "text"),
                *(ColSpec(Array(kind), name) for name, kind in lists.items()),
                ColSpec(Array(Object([Property(name, kind) for name, kind in entity.items()])), "entities"),
            ]
        )
    if checkpoint.kind == "regressor":
        return Schema([ColSpec(DataType.double, "value")])
    return Schema(
        [
            ColSpec(DataType.double, "nll"),
            ColSpec(DataType.long, "tokens"),
            ColSpec(DataType.double, "perplexity"),
            ColSpec(DataType.double, "bits_per_character", required=False),
        ]
    )


def _create_version(
    client: mlflow.MlflowClient, name: str, model: LoggedModel, tags: Mapping[str, str]
) -> ModelVersion:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # The tags are created with the version, so a retry always recognises it.
    return client.create_model_version(
        name,
        f"models:/{model.model_id}",
        model.source_run_id,
        tags=_short(tags),
        await_creation_for=0,  # it is ready when the call returns; waiting would only log a message
        model_id=model.model_id,
    )


def _delete_others(client: mlflow.MlflowClient, created: ModelVersion, tags: Mapping[str, str]) -> None:
    """Delete versions that the same request has created: where an answer is lost, MLflow's client sends it again."""
    # A search returns versions without their aliases.
    kept = {str(created.version), *map(str, client.get_registered_model(created.name).aliases.values())}
    for other in list(pages(client.search_model_versions, filter_string=f"name = '{created.name}'")):
        is_the_same = other.source == created.source and _short(tags).items() <= other.tags.items()
        if is_the_same and str(other.version) not in kept:
            client.delete_model_version(other.name, other.version)


def _log_metrics(client: mlflow.MlflowClient, version: ModelVersion, metrics: Mapping[str, float]) -> None:
    """Log those metrics that the version's model does not have yet."""
    # Only _create_version creates versions with these tags, and it sets both.
    assert version.source is not None
    assert version.run_id is not None
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    missing = metrics.keys() - {metric.key for metric in model.metrics or []}
    if not missing:
        return
    now = int(time.time() * 1000)
    step = _step(client, version.run_id, metrics)
    client.log_batch(
        version.run_id,
        [Metric(key, metrics[key], now, step, model_id=model.model_id) for key in sorted(missing)],
    )


def _step(client: mlflow.MlflowClient, run_id: str, metrics: Mapping[str, float]) -> int:
    """Return the step at which the run recorded the metrics, or one after its last step.

    MLflow keeps the metrics of a model in its run as well. They must not change the learning curve there.
    """
    recorded = [point for key in metrics for point in client.get_metric_history(run_id, key)]
    behind = max((point.step for point in recorded), default=-1) + 1
    return max((point.step for point in recorded if point.value == metrics[point.key]), default=behind)


def _code() -> str:
    commit = get_git_commit(str(_PACKAGE))
    return f"rnnlm {installed('rnnlm')}" + (f", commit {commit}" if commit else "")


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value if len(value) <= LONGEST_TAG else f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
        for key, value in tags.items()
    }


def _lineage(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in _short(tags).items() if not key.startswith(NOT_LINEAGE)}

"""A registered model as the start of a run."""

import json
import logging
from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rnnlm.checksums import checked
from rnnlm.errors import ConfigError, DataError
from rnnlm.mlflow_store import answering, check_store
from rnnlm.refs import CheckpointRef, ModelRef
from rnnlm.registry.address import NOT_THERE, look_up
from rnnlm.registry.aliases import champion
from rnnlm.registry.versions import CHECKPOINT_TAG, CONFIGURATION_TAG, checkpoint_folder

logger = logging.getLogger("rnnlm.registry")


@dataclass(frozen=True)
class Registered:
    """One version of a registered model.

    Attributes:
        model: The version.
        checkpoint: Its weights and tokenizer on this machine.
        settings: Its widths, layers and dropout, as plain values.
        configuration: The settings that it was trained with, as plain values.
    """

    model: ModelRef
    checkpoint: CheckpointRef
    settings: dict[str, Any]
    configuration: dict[str, Any]


def registered(address: str) -> Registered:
    """Find a registered model, and fetch its files if they are not on this machine.

    An alias is looked up only once, here. The returned version stays the same when the alias moves.

    Args:
        address: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        ConfigError: If it is not such an address.
        DataError: If there is no such model, or rnnlm did not register it.
        StoreError: If MLflow does not answer.
    """
    check_store()
    with answering():
        client = mlflow.MlflowClient()
        version, uri, known = look_up(client, address)
        if missing := {CHECKPOINT_TAG, CONFIGURATION_TAG, "rnnlm.tokens"} - known.keys():
            raise DataError(
                f"lacks the tags {', '.join(sorted(missing))}: it was not registered by rnnlm",
                where=uri,
                remedy="Name another one, or register it with the flow `pretrain`.",
            )
        seconds = _seconds(client, version)
        metrics = client.get_logged_model(str(version.source).removeprefix("models:/")).metrics or []
    folder = checkpoint_folder(uri)
    description = json.loads(checked(folder / "model.json").read_text(encoding="utf-8"))
    checkpoint = CheckpointRef(
        path=folder,
        sha256=known[CHECKPOINT_TAG],
        kind=description["kind"],
        metrics={metric.key: metric.value for metric in metrics},
        seconds=seconds,
        tokens_sha256=known["rnnlm.tokens"],
        recorded_as=str(version.run_id),
    )
    model = ModelRef(name=version.name, version=int(version.version), alias="", uri=uri, source=str(version.source))
    return Registered(model, checkpoint, description["settings"], json.loads(known[CONFIGURATION_TAG]))


def check_kind(name: str, kind: str) -> None:
    """Check that no champion of another kind would be replaced.

    Args:
        name: The name of a registered model, which may not exist yet.
        kind: What is to be registered under it.

    Raises:
        ConfigError: If the present champion is of another kind.
        StoreError: If MLflow does not answer.
    """
    check_store()
    present = champion(name)
    if present is None:
        return
    with answering():
        client = mlflow.MlflowClient()
        version = client.get_model_version(present.name, str(present.version))
        found = client.get_logged_model(str(version.source).removeprefix("models:/")).model_type
    if found != kind:
        there, new = (f"a {str(one).replace('_', ' ')}" for one in (found, kind))
        raise ConfigError(
            f"name: {name}@champion is {there}, and this experiment would put {new} in its place",
            remedy="Give the experiment another name.",
        )


def _seconds(client: mlflow.MlflowClient, version: ModelVersion) -> float:
    """Return the seconds of the training's step. A training that was stopped and resumed seems shorter."""
    try:
        run = client.get_run(str(version.run_id)).info
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
        logger.warning("The run that trained %s was deleted: its training counts as no time.", version.name)
        return 0.0
    return (run.end_time - run.start_time) / 1000 if run.end_time else 0.0

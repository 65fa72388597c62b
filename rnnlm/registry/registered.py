"""A registered model as what a run starts from."""

import json
from dataclasses import dataclass
from typing import Any

import mlflow

from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import CheckpointRef, ModelRef
from rnnlm.registry.address import look_up
from rnnlm.registry.aliases import champion
from rnnlm.registry.versions import CHECKPOINT_TAG, CONFIGURATION_TAG, check_store, checkpoint_folder
from rnnlm.tracking import answering


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

    An alias is looked up once, here: whoever goes on with what this gives is not disturbed when the alias moves.

    Args:
        address: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        ConfigError: If it is no such address.
        DataError: If there is no such model, or it was not registered by this project.
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
        run = client.get_run(str(version.run_id))
        metrics = client.get_logged_model(str(version.source).removeprefix("models:/")).metrics or []
    folder = checkpoint_folder(uri)
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    checkpoint = CheckpointRef(
        path=folder,
        sha256=known[CHECKPOINT_TAG],
        kind=description["kind"],
        metrics={metric.key: metric.value for metric in metrics},
        # What its step took: a training that was stopped and taken up again is told short.
        seconds=(run.info.end_time - run.info.start_time) / 1000 if run.info.end_time else 0.0,
        tokens_sha256=known["rnnlm.tokens"],
        mlflow_run_id=str(version.run_id),
    )
    model = ModelRef(name=version.name, version=int(version.version), alias="", uri=uri)
    return Registered(model, checkpoint, description["settings"], json.loads(known[CONFIGURATION_TAG]))


def check_kind(name: str, kind: str) -> None:
    """Check that no champion of another kind would lose its place.

    Args:
        name: Name of a registered model, which there may not be yet.
        kind: What is to be registered under it: language_model or classifier.

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
        words = {"language_model": "a language model", "classifier": "a classifier"}
        raise ConfigError(
            f"name: {name}@champion is {words.get(str(found), found)}, and this experiment would put {words[kind]} in "
            "its place",
            remedy="Give the experiment another name.",
        )

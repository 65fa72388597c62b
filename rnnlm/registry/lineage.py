"""Where a registered model comes from: settings, texts, code and runs, back to the source model."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rnnlm.errors import ConfigError, DataError
from rnnlm.registry.aliases import PREVIOUS_TAG, REASON_TAG, ROLLED_BACK_TAG
from rnnlm.registry.versions import CHECKPOINT_TAG, CODE_TAG, CONFIGURATION_TAG, SOURCE_TAG, check_store
from rnnlm.tracking import answering

# What a version's tags say, in the order in which it is told.
_FACTS = {
    REASON_TAG: "promotion",
    PREVIOUS_TAG: "took the place of version",
    ROLLED_BACK_TAG: "rolled back",
    CHECKPOINT_TAG: "checkpoint",
    "rnnlm.tokens": "tokens",
    "rnnlm.tokenizer": "tokenizer",
    "rnnlm.documents": "documents",
    CODE_TAG: "code",
    "rnnlm.arm": "arm",
    SOURCE_TAG: "source model",
    "prefect.flow_run_id": "Prefect flow run",
}


@dataclass(frozen=True)
class Lineage:
    """Where one version comes from.

    Attributes:
        model: `models:/NAME/VERSION`.
        facts: What is known of it, by name.
        configuration: The settings that it was trained with; empty: they were not recorded.
        source: Where its source model comes from; none: it has none.
    """

    model: str
    facts: dict[str, str]
    configuration: dict[str, Any]
    source: "Lineage | None"


def lineage(model: str) -> Lineage:
    """Say where a version comes from.

    Args:
        model: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        ConfigError: If it is no such address.
        DataError: If there is no such model.
        StoreError: If MLflow does not answer.
    """
    check_store()
    with answering():
        client = mlflow.MlflowClient()
        version = find_version(client, model)
        here = f"models:/{version.name}/{version.version}"
        # Tags that were too long are digests; the model itself has all of them in full.
        known = {**version.tags, **metadata_of(here)}
        aliases = [
            a for a, n in client.get_registered_model(version.name).aliases.items() if str(n) == str(version.version)
        ]
    made = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    facts = {
        "aliases": ", ".join(sorted(aliases)) or "none",
        "registered": f"{made:%Y-%m-%d %H:%M} UTC",
        **{name: known[tag] for tag, name in _FACTS.items() if tag in known},
        "MLflow run": str(version.run_id),
    }
    configuration = json.loads(known[CONFIGURATION_TAG]) if CONFIGURATION_TAG in known else {}
    return Lineage(here, facts, configuration, lineage(known[SOURCE_TAG]) if SOURCE_TAG in known else None)


def find_version(client: mlflow.MlflowClient, model: str) -> ModelVersion:
    """Give a version by its address.

    Raises:
        ConfigError: If it is no such address.
        DataError: If there is no such model.
    """
    by_alias = re.fullmatch("models:/([^/@]+)@([^/@]+)", model)
    by_number = re.fullmatch("models:/([^/@]+)/([0-9]+)", model)
    try:
        if by_alias:
            return client.get_model_version_by_alias(*by_alias.groups())
        if by_number:
            return client.get_model_version(*by_number.groups())
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise DataError(
            f"there is no such model: {error.message}",
            where=model,
            remedy="`rnnlm up` shows under Models what there is.",
        ) from error
    raise ConfigError("is no registered model", where=model, remedy="Give models:/NAME@ALIAS or models:/NAME/VERSION.")


def metadata_of(model: str) -> dict[str, str]:
    """Give what the files of a model say of it: its tags in full."""
    try:
        return dict(mlflow.models.get_model_info(model).metadata or {})
    except (MlflowException, OSError):
        return {}  # its files are gone, or it was registered by hand: the tags say what they say

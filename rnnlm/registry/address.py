"""From the address of a registered model, `models:/NAME@ALIAS` or `models:/NAME/VERSION`, to its version."""

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rnnlm.errors import ConfigError, DataError

# What MLflow answers where a model, a version or an alias is not there.
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class Found(NamedTuple):
    """A version of a registered model.

    Attributes:
        version: The version.
        uri: `models:/NAME/VERSION`.
        tags: Its tags; those that were too long for a tag in full, as the model itself has them.
    """

    version: ModelVersion
    uri: str
    tags: dict[str, str]


def look_up(client: mlflow.MlflowClient, model: str) -> Found:
    """Give a version by its address.

    Raises:
        ConfigError: If it is no such address.
        DataError: If there is no such model.
    """
    by_alias = re.fullmatch("models:/([^/@]+)@([^/@]+)", model)
    by_number = re.fullmatch("models:/([^/@]+)/([0-9]+)", model)
    with missing_is_named(model):
        if by_alias:
            version = client.get_model_version_by_alias(*by_alias.groups())
        elif by_number:
            version = client.get_model_version(*by_number.groups())
        else:
            raise ConfigError(
                "is no registered model", where=model, remedy="Give models:/NAME@ALIAS or models:/NAME/VERSION."
            )
    uri = f"models:/{version.name}/{version.version}"
    return Found(version, uri, {**version.tags, **_metadata(uri)})


@contextlib.contextmanager
def missing_is_named(model: str) -> Iterator[None]:
    """Say which model it is that MLflow does not have.

    Raises:
        DataError: In place of MLflow's error.
    """
    try:
        yield
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
        raise DataError(
            f"there is no such model: {error.message}",
            where=model,
            remedy="`rnnlm up` shows under Models what there is; give models:/NAME@ALIAS or models:/NAME/VERSION.",
        ) from error


def _metadata(model: str) -> dict[str, str]:
    try:
        return dict(mlflow.models.get_model_info(model).metadata or {})
    except (MlflowException, OSError):
        return {}  # its files are gone, or it was registered by hand: the tags say what they say

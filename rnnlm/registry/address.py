"""From the address of a registered model, `models:/NAME@ALIAS` or `models:/NAME/VERSION`, to its version."""

import contextlib
import difflib
import re
from collections.abc import Iterator
from typing import NamedTuple

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rnnlm.errors import ConfigError, DataError, StoreError
from rnnlm.mlflow_store import answering, check_store, has_store

# MLflow's answers if a model, a version or an alias does not exist.
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class Found(NamedTuple):
    """A version of a registered model.

    Attributes:
        version: The version.
        uri: `models:/NAME/VERSION`.
        tags: Its tags. Those that were too long for a tag are taken in full from the model itself.
    """

    version: ModelVersion
    uri: str
    tags: dict[str, str]


def look_up(client: mlflow.MlflowClient, model: str) -> Found:
    """Return a version by its address.

    Raises:
        ConfigError: If it is not such an address.
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
            raise ConfigError("is no address of a registered model", where=model, remedy=how_to_address(model))
    uri = f"models:/{version.name}/{version.version}"
    return Found(version, uri, {**version.tags, **_metadata(uri)})


@contextlib.contextmanager
def missing_is_named(model: str) -> Iterator[None]:
    """Replace MLflow's error for a missing model by one that names the model.

    Raises:
        DataError: If MLflow does not have the model.
    """
    try:
        yield
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
        raise DataError(
            f"there is no such model: {error.message}",
            where=model,
            remedy=how_to_address(model),
        ) from error


def how_to_address(model: str) -> str:
    """Return how to address a registered model, with the registered names that are similar to the given one.

    Args:
        model: The given name or address.
    """
    name, names = _name(model), _registered_names()
    similar = [one for one in names if name and name in one] or difflib.get_close_matches(name, names, 5, 0.4)
    known = ", ".join(sorted(similar or names)[:5])
    how = "A registered model is addressed as models:/NAME@champion or models:/NAME/VERSION"
    if known:
        return f"{how}; {'near this name is' if similar else 'NAME may be'}: {known}. `rnnlm up` shows all of them."
    return f"{how}; none is registered yet. `rnnlm up` shows under Models when there is one."


def _registered_names() -> list[str]:
    """Return the names of registered models. Empty if MLflow does not answer: they are part of another error."""
    if not has_store():
        return []
    try:
        check_store()
        with answering():
            return [one.name for one in mlflow.MlflowClient().search_registered_models(max_results=1_000)]
    except StoreError:
        return []


def name_of(model: str) -> str:
    """Return the name of a registered model that is given by its name or by the address of its champion.

    Raises:
        ConfigError: If it is the address of a version.
    """
    name = _name(model)
    if model not in (name, f"models:/{name}", f"models:/{name}@champion"):
        raise ConfigError(
            "names one version, but a model is expected",
            where=model,
            remedy=f"Give its name: {name}.",
        )
    return name


def _name(model: str) -> str:
    return re.sub("[@/].*", "", model.removeprefix("models:/"))


def _metadata(model: str) -> dict[str, str]:
    try:
        return dict(mlflow.models.get_model_info(model).metadata or {})
    except (MlflowException, OSError):
        return {}  # its files are gone, or it was registered by hand: only the tags are known

"""The version in use, the one that might replace it, and the rollback.

MLflow moves one alias at a time. The order of the steps is such that the registry is right after a crash between any
two of them, and doing all of them again completes the work.
"""

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from rnnlm.errors import DataError
from rnnlm.mlflow_store import answering
from rnnlm.refs import ModelRef
from rnnlm.registry.address import NOT_THERE, how_to_address

CHAMPION, CHALLENGER = "champion", "challenger"
PREVIOUS_TAG = "rnnlm.previous_champion"  # of a version that was promoted: the version that it replaced
REASON_TAG = "rnnlm.promotion"  # why a version was promoted, or not
ROLLED_BACK_TAG = "rnnlm.rolled_back"  # of a champion that was rolled back: the version that replaced it
REFUSED_TAG = "rnnlm.refused"  # of a version that a person refused as champion: the reason


def champion(name: str) -> ModelRef | None:
    """Return the version in use. None if there is none.

    Raises:
        StoreError: If MLflow does not answer.
    """
    with answering():
        found = _champion(mlflow.MlflowClient(), name)
    return None if found is None else _ref(found)


def withdrawn(model: ModelRef) -> str | None:
    """Return why this version is not promoted by itself, if people have decided so. None if they have not.

    Raises:
        StoreError: If MLflow does not answer.
    """
    with answering():
        tags = mlflow.MlflowClient().get_model_version(model.name, str(model.version)).tags
    if ROLLED_BACK_TAG in tags:
        return "it was champion and was rolled back"
    return f"a person refused it: {tags[REFUSED_TAG]}" if REFUSED_TAG in tags else None


def refuse(model: ModelRef, reason: str) -> None:
    """Record that a person refuses this version as champion.

    Args:
        model: The version.
        reason: Why, for people.

    Raises:
        StoreError: If MLflow does not answer.
    """
    with answering():
        mlflow.MlflowClient().set_model_version_tag(
            model.name, str(model.version), REFUSED_TAG, reason or "without a reason"
        )


def promote(model: ModelRef, reason: str) -> ModelRef:
    """Make a version the champion, and record which version it replaces.

    Args:
        model: The version.
        reason: Why, for people; it becomes a tag.

    Raises:
        StoreError: If MLflow does not answer.
    """
    with answering():
        client, version = mlflow.MlflowClient(), str(model.version)
        before = _champion(client, model.name)
        # MLflow returns numbers in one place and strings in another.
        if before is not None and str(before.version) != version:
            client.set_model_version_tag(model.name, version, PREVIOUS_TAG, str(before.version))
        client.set_model_version_tag(model.name, version, REASON_TAG, f"promoted: {reason}")
        client.set_registered_model_alias(model.name, CHAMPION, version)
        if str(client.get_registered_model(model.name).aliases.get(CHALLENGER)) == version:
            client.delete_registered_model_alias(model.name, CHALLENGER)
    return model.model_copy(update={"alias": CHAMPION})


def keep_as_challenger(model: ModelRef, reason: str) -> ModelRef:
    """Leave a version a challenger, with the reason as a tag.

    Raises:
        StoreError: If MLflow does not answer.
    """
    with answering():
        client, version = mlflow.MlflowClient(), str(model.version)
        client.set_model_version_tag(model.name, version, REASON_TAG, f"not promoted: {reason}")
        client.set_registered_model_alias(model.name, CHALLENGER, version)
    return model.model_copy(update={"alias": CHALLENGER})


def rollback(name: str) -> tuple[ModelRef, ModelRef]:
    """Make the previous champion the champion again; return the old and the new one.

    Raises:
        DataError: If there is no such model, no champion, or none before it.
        StoreError: If MLflow does not answer.
    """
    with answering():
        client = mlflow.MlflowClient()
        present = _champion(client, name)
        if present is None:
            raise DataError("has no champion", where=name, remedy=how_to_address(name))
        previous = present.tags.get(PREVIOUS_TAG)
        if previous is None:
            raise DataError(
                f"version {present.version} is the first champion: there is none before it",
                where=name,
                remedy="Train another one, or move the alias in MLflow.",
            )
        back = client.get_model_version(name, previous)
        # The tag is set first: if a marked version is still champion, the next call rolls it back.
        client.set_model_version_tag(name, present.version, ROLLED_BACK_TAG, f"version {previous} came in its place")
        client.set_registered_model_alias(name, CHAMPION, previous)
    return _ref(present), _ref(back)


def _champion(client: mlflow.MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        # MLflow gives the same answer for a model without the alias and for a model that does not exist.
        if error.error_code in NOT_THERE:
            return None
        raise


def _ref(version: ModelVersion) -> ModelRef:
    return ModelRef(
        name=version.name,
        version=int(version.version),
        alias=CHAMPION,
        uri=f"models:/{version.name}/{version.version}",
        source=str(version.source),
    )

"""Promotion and rollback, and crashes between any two of their steps."""

from typing import Any

import mlflow
import pytest

from rnnlm.errors import DataError
from rnnlm.refs import ModelRef
from rnnlm.registry import aliases

NAME = "tiny-target"


@pytest.fixture
def client(mlflow_store: str) -> mlflow.MlflowClient:
    assert mlflow_store
    client = mlflow.MlflowClient()
    client.create_registered_model(NAME)
    for _ in range(3):
        client.create_model_version(NAME, "file:///nowhere", await_creation_for=0)
    return client


def version(number: int) -> ModelRef:
    return ModelRef(name=NAME, version=number, alias="challenger", uri=f"models:/{NAME}/{number}")


def aliased(client: mlflow.MlflowClient) -> dict[str, int]:
    return {alias: int(number) for alias, number in client.get_registered_model(NAME).aliases.items()}


def tags(client: mlflow.MlflowClient, number: int) -> dict[str, str]:
    return dict(client.get_model_version(NAME, str(number)).tags)


def test_champions_follow_each_other_and_go_back(client: mlflow.MlflowClient) -> None:
    assert aliases.champion(NAME) is None
    assert aliases.promote(version(1), "there was no champion").alias == "champion"
    aliases.keep_as_challenger(version(2), "not above zero")
    assert aliased(client) == {"champion": 1, "challenger": 2}
    assert tags(client, 2) == {aliases.REASON_TAG: "not promoted: not above zero"}
    aliases.promote(version(2), "better")
    aliases.promote(version(3), "better again")
    assert aliased(client) == {"champion": 3}
    assert tags(client, 3) == {aliases.REASON_TAG: "promoted: better again", aliases.PREVIOUS_TAG: "2"}
    gone, came = aliases.rollback(NAME)
    assert (gone.version, came.version) == (3, 2)
    assert aliases.withdrawn(version(3)) == "it was champion and was rolled back"
    assert aliases.withdrawn(version(2)) is None
    aliases.refuse(version(2), "too slow")
    assert aliases.withdrawn(version(2)) == "a person refused it: too slow"
    aliases.rollback(NAME)
    assert aliased(client) == {"champion": 1}
    with pytest.raises(DataError, match="version 1 is the first champion"):
        aliases.rollback(NAME)


def test_a_model_without_a_champion_has_no_way_back(client: mlflow.MlflowClient) -> None:
    for name in (NAME, "no-such-model"):
        with pytest.raises(DataError, match=f"{name}: has no champion"):
            aliases.rollback(name)


CALLS = ("set_model_version_tag", "set_registered_model_alias", "delete_registered_model_alias")


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("until", range(5))
def test_a_crash_between_any_two_steps_is_finished_by_a_retry(
    client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch, until: int
) -> None:
    aliases.promote(version(1), "first")
    aliases.keep_as_challenger(version(2), "not yet")
    done: list[str] = []

    def counted(name: str, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(done) == until:
                raise Killed
            done.append(name)
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(mlflow.MlflowClient, name, counted(name, getattr(mlflow.MlflowClient, name)))
        if until < 4:
            with pytest.raises(Killed):
                aliases.promote(version(2), "better")
        else:
            aliases.promote(version(2), "better")
    # In between it says what is true: one of the two is champion.
    assert aliased(client)["champion"] in (1, 2)
    aliases.promote(version(2), "better")
    assert aliased(client) == {"champion": 2}
    assert tags(client, 2) == {aliases.REASON_TAG: "promoted: better", aliases.PREVIOUS_TAG: "1"}

"""How a registered model is addressed, and what an error says of it."""

import mlflow
import pytest

from rnnlm.errors import ConfigError, DataError
from rnnlm.registry import checkpoint_folder
from rnnlm.registry.address import how_to_address, look_up, name_of


@pytest.mark.parametrize("given", ["demo-source", "models:/demo-source", "models:/demo-source@champion"])
def test_a_model_is_named_by_its_name_or_its_champions_address(given: str) -> None:
    assert name_of(given) == "demo-source"


@pytest.mark.parametrize("given", ["models:/demo-source/3", "models:/demo-source@challenger", "demo-source@champion"])
def test_one_version_is_no_model(given: str) -> None:
    with pytest.raises(ConfigError, match=r"names one version.*Give its name: demo-source\.$"):
        name_of(given)


@pytest.mark.usefixtures("mlflow_store")
def test_an_error_lists_the_names_that_are_near() -> None:
    assert "none is registered yet" in how_to_address("demo")
    for name in ("demo-source", "demo-target", "reviews"):
        mlflow.MlflowClient().create_registered_model(name)
    assert "near this name is: demo-source, demo-target." in how_to_address("demo")
    assert "near this name is: demo-source, demo-target." in how_to_address("models:/demo-sorce@champion")
    assert "NAME may be: demo-source, demo-target, reviews." in how_to_address("./somewhere/else")
    with pytest.raises(DataError, match="near this name is: reviews"):
        checkpoint_folder("models:/review@champion")
    with pytest.raises(ConfigError, match=r"no address of a registered model.*near this name is: reviews"):
        look_up(mlflow.MlflowClient(), "models:/reviews")


def test_where_mlflow_does_not_answer_there_are_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "sqlite:////nowhere/mlflow.db")
    assert "models:/NAME@champion" in how_to_address("demo")

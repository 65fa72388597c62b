"""Where a version comes from, and the way back, as the command line tells them."""

import json

import mlflow
import pytest
from typer.testing import CliRunner

from rnnlm.cli.app import app
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import ModelRef
from rnnlm.registry.aliases import promote
from rnnlm.registry.lineage import lineage

NAME = "tiny-source"
CONFIGURATION = {"corpus": {"files": ["新闻.txt"]}, "tokenizer": {"kind": "bpe"}}


@pytest.fixture
def versions(mlflow_store: str) -> list[ModelRef]:
    """Two versions, the second of them champion; registered without files, as by another tool."""
    assert mlflow_store
    client = mlflow.MlflowClient()
    client.create_registered_model(NAME)
    tags = {
        "rnnlm.configuration": json.dumps(CONFIGURATION, ensure_ascii=False),
        "rnnlm.tokens": "70ce",
        "prefect.flow_run_id": "the first run",
    }
    refs = []
    for number in (1, 2):
        client.create_model_version(NAME, "file:///nowhere", "0" * 32, tags=tags, await_creation_for=0)
        refs.append(ModelRef(name=NAME, version=number, alias="champion", uri=f"models:/{NAME}/{number}"))
        promote(refs[-1], f"reason {number}")
    return refs


def test_it_tells_texts_settings_and_runs(versions: list[ModelRef]) -> None:
    found = lineage(f"models:/{NAME}@champion")
    assert found == lineage(versions[1].uri)
    assert found.model == versions[1].uri
    assert found.configuration == CONFIGURATION
    told = {
        "aliases": "champion",
        "promotion": "promoted: reason 2",
        "took the place of version": "1",
        "tokens": "70ce",
        "Prefect flow run": "the first run",
        "MLflow run": "0" * 32,
    }
    assert told.items() <= found.facts.items()
    assert lineage(versions[0].uri).facts["aliases"] == "none"


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (f"models:/{NAME}/9", DataError),
        (f"models:/{NAME}@nobody", DataError),
        ("models:/nothing/1", DataError),
        (NAME, ConfigError),
    ],
)
def test_what_is_not_there_is_named(
    versions: list[ModelRef], address: str, error: type[DataError | ConfigError]
) -> None:
    assert versions
    with pytest.raises(error) as caught:
        lineage(address)
    assert caught.value.where == address


def test_as_commands(versions: list[ModelRef]) -> None:
    runner = CliRunner()
    told = runner.invoke(app, ["lineage", versions[1].uri])
    assert told.exit_code == 0, told.output
    assert "promoted: reason 2" in told.output
    assert "- 新闻.txt" in told.output
    as_json = json.loads(runner.invoke(app, ["lineage", versions[1].uri, "--json"]).output)
    assert as_json["configuration"] == CONFIGURATION
    back = runner.invoke(app, ["rollback", NAME])
    assert back.output == f"{NAME}: version 1 is champion again, in place of version 2.\n"
    again = runner.invoke(app, ["rollback", NAME])
    assert again.exit_code == 1
    assert "version 1 is the first champion" in again.output

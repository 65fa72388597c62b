import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.stack import ports
from flows.stack.deploy import deploy
from rnnlm.errors import ConfigError, StoreError


def test_a_server_must_be_named() -> None:
    with pytest.raises(ConfigError, match="PREFECT_API_URL: no Prefect server is named"):
        deploy(None)


def test_a_server_that_does_not_answer_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://{ports.HOST}:1/api"  # nothing listens there
    with pytest.raises(StoreError, match="Prefect does not do as asked"):
        deploy(address)
    monkeypatch.setenv("PREFECT_API_URL", address)
    result = CliRunner().invoke(app, ["deploy"])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {address}: Prefect does not do as asked")
    assert len(result.stderr.splitlines()) == 1

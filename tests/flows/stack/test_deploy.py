from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL
from typer.testing import CliRunner

from rnnlm.cli.app import app
from rnnlm.errors import ConfigError, StoreError
from rnnlm.stack import ports
from rnnlm.stack.api import POOL
from rnnlm.stack.deploy import deploy


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


def test_a_second_deploy_keeps_what_a_person_has_switched_on(prefect: None, tmp_path: Path) -> None:
    api = PREFECT_API_URL.value()
    for pool in ("process", "kubernetes"):
        deploy(api, pool)
    with get_client(sync_client=True) as client:
        made = client.read_deployment_by_name("pretrain/demo")
        (schedule,) = made.schedules
        assert (schedule.slug, schedule.active) == ("weekly", False)
        assert schedule.schedule.model_dump()["cron"] == "0 3 * * 1"
        client.update_deployment_schedule(made.id, schedule.id, active=True)
        other = client.read_deployment_by_name("transfer/demo")
        assert other.model_dump(mode="json")["concurrency_options"]["collision_strategy"] == "ENQUEUE"
        midnight = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 0 * * *"), active=True)
        client.create_deployment_schedules(other.id, [midnight])
        client.pause_deployment(other.id)
        assert client.read_work_pool(POOL).base_job_template["job_configuration"]["working_dir"] == str(Path.cwd())
        deploy(api)
        again = client.read_deployment_by_name("pretrain/demo")
        assert (again.id, again.pull_steps or [], again.schedules[0].active) == (made.id, [], True)
        assert again.parameter_openapi_schema == made.parameter_openapi_schema
        assert "source" in (again.parameter_openapi_schema or {})["properties"]
        other = client.read_deployment_by_name("transfer/demo")
        assert (len(other.schedules), other.paused) == (1, True)
        for deployment in client.read_deployments():
            assert deployment.entrypoint is not None
            flow: Any = load_flow_from_entrypoint(deployment.entrypoint, use_placeholder_flow=False)
            assert client.read_flow(deployment.flow_id).name == flow.name


def test_a_deployment_that_prefect_would_refuse_is_named(
    prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "prefect.yaml"
    entry = "{name: mine, entrypoint: rnnlm.flows.score.score, work_pool: {name: rnnlm}, colour: red}"
    file.write_text(f"deployments: [{entry}]", encoding="utf-8")
    monkeypatch.setattr("rnnlm.stack.deploy.FILE", file)
    with pytest.raises(ConfigError, match=f"{file}: the deployment 'mine' .*colour"):
        deploy(PREFECT_API_URL.value())

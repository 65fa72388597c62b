"""`rnnlm deploy`: the work pool, the deployments and the automations in a Prefect server.

What a person has set in Prefect's UI stays: the schedules of a deployment that is there, and whether an automation is
switched on. Everything else is made what the files of `deployments/` say.
"""

import json
import os
from pathlib import Path
from typing import Any, Literal

import httpx
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import DeploymentApplyError, RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Schedule
from prefect.settings import PREFECT_API_URL, temporary_settings

from rnnlm.errors import ConfigError, StoreError
from rnnlm.stack.api import POOL
from rnnlm.stack.automations import automate
from rnnlm.store import DEPLOYMENTS

PoolType = Literal["process", "kubernetes"]

FILE = DEPLOYMENTS / "prefect.yaml"


def deploy(api: str | None, pool: PoolType = "process") -> None:
    """Make the work pool, if there is none, and the deployments and automations.

    Args:
        api: Address of the server's API, as in PREFECT_API_URL.
        pool: Type of the work pool: runs are processes of a worker, or jobs of a cluster.

    Raises:
        ConfigError: If no server is named, or RNNLM_NOTIFY names what it does not have.
        StoreError: If Prefect does not answer, or refuses something.
    """
    if not api:
        raise ConfigError(
            "no Prefect server is named",
            where="PREFECT_API_URL",
            remedy="Name one, http://HOST:4200/api; or start one here: `rnnlm up` makes the deployments by itself.",
        )
    try:
        # Settings that say who asks (PREFECT_API_KEY, PREFECT_API_AUTH_STRING) count, too.
        with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
            _make_pool(client, pool)
            _make_deployments(client)
            automate(client)
    except (httpx.HTTPError, DeploymentApplyError) as error:
        raise StoreError(
            f"Prefect does not do as asked: {str(error)[:500]}",  # it may have the whole request in it
            where=api,
            remedy="Check PREFECT_API_URL and that the server runs.",
        ) from error


def _make_pool(client: SyncPrefectClient, pool: PoolType) -> None:
    """Make the pool whose runs cannot choose their command; a pool of processes that is there becomes such a one."""
    try:
        there = client.read_work_pool(POOL).type
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type=pool, base_job_template=_job_template(pool)))
    else:
        if there == "process":
            client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=_job_template("process")))


def _job_template(pool: PoolType) -> dict[str, Any]:
    """Return the settings of a run's process or job; those of a process with the places that Prefect must know early.

    Prefect reads its settings before it loads the flow, so they cannot be set there.
    """
    template: dict[str, Any] = json.loads((DEPLOYMENTS / pool / "job-template.json").read_text(encoding="utf-8"))
    if pool == "process":
        # Relative addresses of files start from here, as those of `rnnlm run` do. A job starts in its image's folder.
        template["job_configuration"]["working_dir"] = str(Path.cwd())
        # The same places as those of `rnnlm run`: what one has done, the other need not do again.
        names = ("RNNLM_HOME", "PREFECT_LOCAL_STORAGE_PATH")
        template["job_configuration"]["env"] |= {name: os.environ[name] for name in names}
    return template


def _make_deployments(client: SyncPrefectClient) -> None:
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    for wanted in content["deployments"]:
        deployment = _deployment(wanted)
        try:
            client.read_deployment_by_name(deployment.full_name)
        except ObjectNotFound:
            pass
        else:
            # Only what is set is updated: what a person has chosen in the UI stays.
            deployment.schedules = []
            deployment.model_fields_set.difference_update({"schedules", "paused"})
        deployment.apply()


def _deployment(wanted: dict[str, Any]) -> RunnerDeployment:
    """Return a deployment that the file describes.

    Raises:
        ConfigError: If a field is missing, unknown or wrong.
    """
    fields = dict(wanted)
    try:
        pool = fields.pop("work_pool")
        fields["work_pool_name"] = pool["name"]
        fields |= {name: pool[name] for name in ("work_queue_name", "job_variables") if name in pool}
        fields["schedules"] = [Schedule(**one) for one in fields.pop("schedules", [])]
        if isinstance(limit := fields.get("concurrency_limit"), dict):
            fields["concurrency_limit"] = ConcurrencyLimitConfig(**limit)
        return RunnerDeployment.from_entrypoint(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"the deployment {wanted.get('name')!r} is not as Prefect wants it: {error!r}",
            where=str(FILE),
            remedy="Compare it with the others in the file.",
        ) from error

"""`rnnlm deploy`: the work pool, the deployments and the automations in a Prefect server.

What a person has set in Prefect's UI stays: the schedules of a deployment that is there, and whether an automation is
switched on. Everything else is made what the files of `deployments/` say.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import httpx
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.stack.api import POOL
from flows.stack.automations import automate
from rnnlm.errors import ConfigError, StoreError

PoolType = Literal["process", "kubernetes"]

ROOT = Path(__file__).resolve().parents[2]  # entry points of deployments are looked for here
DEPLOYMENTS = ROOT / "deployments" / "prefect.yaml"
JOB_TEMPLATE = "deployments/{}/job-template.json"  # of each type of work pool


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
            _make_deployments(client, api)
            automate(client)
    except httpx.HTTPError as error:
        raise StoreError(
            f"Prefect does not do as asked: {error}",
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

    Prefect reads its settings before it loads the flow's file, so they cannot be set there.
    """
    template: dict[str, Any] = json.loads((ROOT / JOB_TEMPLATE.format(pool)).read_text(encoding="utf-8"))
    if pool == "process":
        # The same places as those of `rnnlm run`: what one has done, the other need not do again.
        names = ("RNNLM_HOME", "PREFECT_LOCAL_STORAGE_PATH")
        template["job_configuration"]["env"] |= {name: os.environ[name] for name in names}
    return template


def _make_deployments(client: SyncPrefectClient, api: str) -> None:
    content = yaml.safe_load(DEPLOYMENTS.read_text(encoding="utf-8"))
    for deployment in content["deployments"]:
        flow = deployment["entrypoint"].rpartition(":")[2]
        try:
            client.read_deployment_by_name(f"{flow}/{deployment['name']}")
        except ObjectNotFound:
            continue
        # Prefect would put the file's in place of those that are there, and switch off what a person has switched on.
        deployment.pop("schedules", None)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(content, file)
        file.flush()
        _prefect(api, ["--no-prompt", "deploy", "--prefect-file", file.name, "--all"])


def _prefect(api: str, command: list[str]) -> None:
    # prefect.yaml asks for the folder by the name PWD, which is still that of the shell that this was called in.
    environment = os.environ | {"PREFECT_API_URL": api, "PWD": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *command],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StoreError(
            f"`prefect {command[0]}` ended with exit code {done.returncode}: {(done.stderr or done.stdout).strip()}",
            where=str(DEPLOYMENTS),
            remedy="See that the file is as Prefect wants it.",
        )

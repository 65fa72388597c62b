"""`rnnlm deploy`: the work pool, the deployments and the automations in a Prefect server.

What a person has set in Prefect's UI stays: the schedules of a deployment that is there, and whether an automation is
switched on. Everything else is made what the files of `deployments/` say.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import httpx
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.stack.api import POOL
from flows.stack.automations import automate
from rnnlm.errors import ConfigError, StoreError

PoolType = Literal["process", "kubernetes"]

ROOT = Path(__file__).resolve().parents[2]  # entry points of deployments are looked for here
DEPLOYMENTS = ROOT / "deployments" / "prefect.yaml"
JOB_TEMPLATE = ROOT / "deployments" / "kubernetes" / "job-template.json"


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
            _make_pool(client, api, pool)
            _make_deployments(client, api)
            automate(client)
    except httpx.HTTPError as error:
        raise StoreError(
            f"Prefect does not do as asked: {error}",
            where=api,
            remedy="Check PREFECT_API_URL and that the server runs.",
        ) from error


def _make_pool(client: SyncPrefectClient, api: str, pool: PoolType) -> None:
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        template = ["--base-job-template", str(JOB_TEMPLATE)] if pool == "kubernetes" else []
        _prefect(api, ["work-pool", "create", POOL, "--type", pool, *template])


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

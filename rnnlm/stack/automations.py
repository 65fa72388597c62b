"""The automations of `deployments/automations.yaml` in Prefect's server."""

import os
import re
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from rnnlm.errors import ConfigError
from rnnlm.store import DEPLOYMENTS

FILE = DEPLOYMENTS / "automations.yaml"
VARIABLE = "RNNLM_NOTIFY"  # the notification block, TYPE/NAME
PLACE = "{{ notify }}"  # the place of its id in the file
DEPLOYMENT = re.compile(r"\{\{ (\w+/\w+) \}\}")  # the place of a deployment's id


def automate(client: SyncPrefectClient) -> None:
    """Make the automations what the file says; whether one is switched on stays as a person has set it.

    Those that tell somebody are made only where RNNLM_NOTIFY names a block.

    Args:
        client: Prefect's server; the deployments must be there.

    Raises:
        ConfigError: If there is no such block.
    """
    block = os.environ.get(VARIABLE)
    text = FILE.read_text(encoding="utf-8")
    text = DEPLOYMENT.sub(lambda found: str(client.read_deployment_by_name(found[1]).id), text)
    wanted = yaml.safe_load(text.replace(PLACE, _block_id(client, block)) if block else text)["automations"]
    there = {found.name: found for found in client.read_automations()}
    for automation in wanted:
        if PLACE in _values(automation):
            continue
        found = there.get(automation["name"])
        if found is None:
            client.create_automation(AutomationCore.model_validate(automation))
        else:
            client.update_automation(found.id, AutomationCore.model_validate(automation | {"enabled": found.enabled}))


def _block_id(client: SyncPrefectClient, block: str) -> str:
    kind, _, name = block.partition("/")
    try:
        return str(client.read_block_document_by_name(name, kind, include_secrets=False).id)
    except ObjectNotFound as error:
        raise ConfigError(
            f"Prefect has no block {block!r}",
            where=VARIABLE,
            remedy="Make it in Prefect's UI, under Blocks, and give its type and name: slack-webhook/team.",
        ) from error


def _values(automation: dict[str, Any]) -> list[Any]:
    return [value for action in automation["actions"] for value in action.values()]

"""The automations of `deployments/automations.yaml` in Prefect's server."""

import os
import urllib.error
from pathlib import Path
from typing import Any

import yaml

from flows.stack.api import ask
from rnnlm.errors import ConfigError

FILE = Path(__file__).resolve().parents[2] / "deployments" / "automations.yaml"
VARIABLE = "RNNLM_NOTIFY"  # the notification block, TYPE/NAME
PLACE = "{{ notify }}"  # where its id stands in the file


def automate(prefect: str) -> None:
    """Make the automations what the file says; those that are switched off stay so.

    Those that tell somebody are made only where RNNLM_NOTIFY names a block.

    Args:
        prefect: The server's address.

    Raises:
        ConfigError: If there is no such block.
    """
    block = os.environ.get(VARIABLE)
    text = FILE.read_text(encoding="utf-8")
    wanted = yaml.safe_load(text.replace(PLACE, _block_id(prefect, block)) if block else text)["automations"]
    there = {found["name"]: found for found in ask(prefect, "/automations/filter", {})}
    for automation in wanted:
        if PLACE in _values(automation):
            continue
        found = there.get(automation["name"])
        if found is None:
            ask(prefect, "/automations/", automation)
        else:
            ask(prefect, f"/automations/{found['id']}", automation | {"enabled": found["enabled"]}, "PUT")


def _block_id(prefect: str, block: str) -> str:
    kind, _, name = block.partition("/")
    try:
        return str(ask(prefect, f"/block_types/slug/{kind}/block_documents/name/{name}", method="GET")["id"])
    except urllib.error.HTTPError as error:
        raise ConfigError(
            f"Prefect has no block {block!r}",
            where=VARIABLE,
            remedy="Make it in Prefect's UI, under Blocks, and give its type and name: slack-webhook/team.",
        ) from error


def _values(automation: dict[str, Any]) -> list[Any]:
    return [value for action in automation["actions"] for value in action.values()]

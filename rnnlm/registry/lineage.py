"""Where a registered model comes from: settings, texts, code and runs, back to the source model."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import mlflow

from rnnlm.mlflow_store import answering, check_store
from rnnlm.registry.address import look_up
from rnnlm.registry.aliases import PREVIOUS_TAG, REASON_TAG, REFUSED_TAG, ROLLED_BACK_TAG
from rnnlm.registry.versions import CHECKPOINT_TAG, CODE_TAG, CONFIGURATION_TAG, SOURCE_TAG

# The tags of a version, in the order in which they are shown.
_FACTS = {
    REASON_TAG: "promotion",
    PREVIOUS_TAG: "took the place of version",
    ROLLED_BACK_TAG: "rolled back",
    REFUSED_TAG: "refused",
    CHECKPOINT_TAG: "checkpoint",
    "rnnlm.tokens": "tokens",
    "rnnlm.tokenizer": "tokenizer",
    "rnnlm.documents": "documents",
    CODE_TAG: "code",
    "rnnlm.arm": "arm",
    SOURCE_TAG: "source model",
    "prefect.flow_run_id": "Prefect flow run",
}


@dataclass(frozen=True)
class Lineage:
    """Where one version comes from.

    Attributes:
        model: `models:/NAME/VERSION`.
        facts: What is known of it, by name.
        configuration: The settings that it was trained with. Empty if they were not recorded.
        source: Where its source model comes from. None if it has none.
    """

    model: str
    facts: dict[str, str]
    configuration: dict[str, Any]
    source: "Lineage | None"


def lineage(model: str) -> Lineage:
    """Return where a version comes from.

    Args:
        model: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        ConfigError: If it is not such an address.
        DataError: If there is no such model.
        StoreError: If MLflow does not answer.
    """
    check_store()
    with answering():
        client = mlflow.MlflowClient()
        version, here, known = look_up(client, model)
        aliases = [
            a for a, n in client.get_registered_model(version.name).aliases.items() if str(n) == str(version.version)
        ]
    made = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    facts = {
        "aliases": ", ".join(sorted(aliases)) or "none",
        "registered": f"{made:%Y-%m-%d %H:%M} UTC",
        **{name: known[tag] for tag, name in _FACTS.items() if tag in known},
        "MLflow run": str(version.run_id),
    }
    configuration = json.loads(known[CONFIGURATION_TAG]) if CONFIGURATION_TAG in known else {}
    return Lineage(here, facts, configuration, lineage(known[SOURCE_TAG]) if SOURCE_TAG in known else None)

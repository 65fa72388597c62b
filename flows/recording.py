"""The MLflow run of a flow run, and the way from one to the other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect.artifacts import create_link_artifact
from prefect.runtime import flow_run

from flows.environment import running_servers
from rnnlm import registry, tracking


@contextmanager
def mlflow_run(name: str, params: Mapping[str, object]) -> Iterator[str]:
    """Give the MLflow run of this flow run; it ends as the flow run does.

    Args:
        name: Name of the MLflow experiment.
        params: What was asked for.
    """
    registry.check_store()
    parent = tracking.flow_run(name, str(flow_run.id), flow_run.name, params)
    if servers := running_servers():
        _link(parent, servers)
    try:
        yield parent
    except BaseException as error:
        # Cancelling raises what is no Exception: such a run did not fail, it was ended.
        tracking.finish(parent, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    tracking.finish(parent, "FINISHED")


def _link(parent: str, servers: dict[str, Any]) -> None:
    """Put the address of the MLflow run among the artifacts, and that of the flow run among the MLflow run's tags."""
    run = tracking.Run.of(parent)
    create_link_artifact(
        f"{servers['mlflow']}/#/experiments/{run.experiment_id}/runs/{parent}",
        key="mlflow-run",
        link_text="The run in MLflow",
        description="Its trainings, curves, figures and the verdict.",
    )
    run.set_tags({"prefect.address": f"{servers['prefect']}/runs/flow-run/{flow_run.id}"})

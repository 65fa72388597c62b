"""The MLflow run of a flow run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prefect.runtime import flow_run

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
    try:
        yield parent
    except BaseException as error:
        # Cancelling raises what is no Exception: such a run did not fail, it was ended.
        tracking.finish(parent, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    tracking.finish(parent, "FINISHED")

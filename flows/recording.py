"""The MLflow run of a flow run, and the way from one to the other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar, cast

from prefect.artifacts import create_link_artifact
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Completed

from rnnlm import registry, tracking
from rnnlm.environment import pages
from rnnlm.tasks.promote import promote
from rnnlm.tasks.step import steps_of_this_run

R = TypeVar("R")


@contextmanager
def mlflow_run(name: str, params: Mapping[str, object]) -> Iterator[str]:
    """Give the MLflow run of this flow run; it ends as the flow run does.

    Args:
        name: Name of the MLflow experiment.
        params: What was asked for.
    """
    registry.check_store()
    parent = tracking.flow_run(name, str(flow_run.id), flow_run.name, params)
    _link(parent)
    try:
        yield parent
    except Pause:
        # Suspended, to be taken up again by whichever worker: nobody writes to it meanwhile.
        tracking.finish(parent, "SCHEDULED")
        raise
    except BaseException as error:
        # Cancelling raises what is no Exception: such a run did not fail, it was ended.
        tracking.finish(parent, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    tracking.end_runs_of_the_dead()  # processes of a task runner may have been killed on the way
    tracking.finish(parent, "FINISHED")


def ended(result: R, parent: str | None = None, changed: bool = False) -> R:
    """Give what a flow returns: its result, in a state that says so where nothing had changed.

    MLflow says so too: the run has copies of the steps that came from the cache below it, or, if they are all, the way
    to the run that has them.

    Args:
        result: The flow's result.
        parent: MLflow run of the flow run; none: it has none.
        changed: Whether something has changed besides what its steps have computed.
    """
    steps = steps_of_this_run()
    # What was promoted is asked of the registry by each run.
    if changed or steps.again or steps.computed - {promote.name} or flow_run.run_count > 1:
        if parent is not None:
            tracking.copy_runs(parent, steps.recorded)
        return result
    if parent is not None and not tracking.log_unchanged(parent):
        tracking.copy_runs(parent, steps.recorded)
    # Prefect takes a state that a flow returns for the run's own, and its data for the result.
    message = f"Nothing has changed: all {steps.cached} steps came from the cache."
    return cast(R, Completed(name="Unchanged", message=message, data=result))


def _link(parent: str) -> None:
    """Put the address of the MLflow run among the artifacts, and that of the flow run among the MLflow run's tags."""
    run, known = tracking.Run.of(parent), pages()
    if "mlflow" in known:
        create_link_artifact(
            f"{known['mlflow']}/{tracking.page(run.experiment_id, parent)}",
            key="mlflow-run",
            link_text="The run in MLflow",
            description="Its trainings, curves, figures and the verdict.",
        )
    if "prefect" in known:
        run.set_tags({"prefect.address": f"{known['prefect']}/runs/flow-run/{flow_run.id}"})

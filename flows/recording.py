"""The MLflow run of a flow run, and the way from one to the other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar, cast

from prefect.artifacts import create_link_artifact
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Completed

from rnnlm import registry
from rnnlm.environment import pages
from rnnlm.tasks.promote import promote
from rnnlm.tasks.step import Prefect
from rnnlm.tracking import mlflow
from rnnlm.tracking.mlflow import MlflowRun

R = TypeVar("R")


@contextmanager
def recorded_run(name: str, params: Mapping[str, object]) -> Iterator[Prefect]:
    """Yield what runs the steps of this flow run and records them in MLflow; the record ends as the flow run does.

    Args:
        name: Name of the MLflow experiment.
        params: What was asked for.
    """
    registry.check_store()
    run = MlflowRun(mlflow.flow_run(name, str(flow_run.id), flow_run.name, params))
    _link(run)
    try:
        yield Prefect(run)
    except Pause:
        # Suspended, to be taken up again by whichever worker: nobody writes to it meanwhile.
        mlflow.finish(run.run_id, "SCHEDULED")
        raise
    except BaseException as error:
        # Cancelling raises what is no Exception: such a run did not fail, it was ended.
        mlflow.finish(run.run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    mlflow.end_runs_of_the_dead()  # processes of a task runner may have been killed on the way
    mlflow.finish(run.run_id, "FINISHED")


def ended(result: R, runner: Prefect, changed: bool = False) -> R:
    """Return what a flow returns: its result, in a state that says so where nothing had changed.

    MLflow says so too: the run has copies of the steps that came from the cache below it, or, if they are all, the way
    to the run that has them.

    Args:
        result: The flow's result.
        runner: What has run the steps.
        changed: Whether something has changed besides what its steps have computed.
    """
    run_id = runner.tracker.run_id if isinstance(runner.tracker, MlflowRun) else None
    # What was promoted is asked of the registry by each run.
    if changed or runner.again or runner.computed - {promote.name} or flow_run.run_count > 1:
        if run_id:
            mlflow.copy_runs(run_id, runner.recorded)
        return result
    if run_id and not mlflow.log_unchanged(run_id):
        mlflow.copy_runs(run_id, runner.recorded)
    # Prefect takes a state that a flow returns for the run's own, and its data for the result.
    message = f"Nothing has changed: all {runner.cached} steps came from the cache."
    return cast(R, Completed(name="Unchanged", message=message, data=result))


def _link(run: MlflowRun) -> None:
    """Put the address of the MLflow run among the artifacts, and that of the flow run among the MLflow run's tags."""
    known = pages()
    if "mlflow" in known:
        create_link_artifact(
            f"{known['mlflow']}/{mlflow.page(run.experiment_id, run.run_id)}",
            key="mlflow-run",
            link_text="The run in MLflow",
            description="Its trainings, curves, figures and the verdict.",
        )
    if "prefect" in known:
        run.set_tags({"prefect.address": f"{known['prefect']}/runs/flow-run/{flow_run.id}"})

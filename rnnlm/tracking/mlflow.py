"""Runs and metrics in MLflow: a parent run for a flow run, a child for each step and arm.

Run ids are passed on explicitly: MLflow's active run belongs to a thread, and the tasks may run in any.
"""

import getpass
import json
import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LifecycleStage,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from rnnlm.errors import DataError
from rnnlm.mlflow_store import answering, pages
from rnnlm.process import dead_processes, this_process
from rnnlm.settings import flat
from rnnlm.store import home
from rnnlm.tracking.tracker import Texts, Tracker

logger = logging.getLogger("rnnlm.tracking")

# What the store accepts in one call.
PARAMS_AT_ONCE = 100
METRICS_AT_ONCE = 1_000
MOST_RUNS = 50_000
LONGEST_PARAM = 6_000
LONGEST_DIGEST = 36
PROCESS_TAG = "rnnlm.process"  # which process writes to a run
PARENT_TAG = "mlflow.parentRunId"  # MLflow's own
COPY_TAG = "rnnlm.copy_of"  # the run that computed what this one repeats
SAME_TAG = "rnnlm.same_as"  # the flow run since which nothing has changed
FLOW_RUN_TAG = "prefect.flow_run_id"
VERDICT = "report/verdict.json"  # where a flow run keeps it


@dataclass(frozen=True)
class MlflowRun:
    """A run in MLflow: that of a flow run, or of one of its steps.

    Attributes:
        run_id: Its id.
    """

    run_id: str

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; each process makes its own."""
        return MlflowClient()

    @property
    def experiment_id(self) -> str:
        """The experiment that it belongs to."""
        with answering():
            return str(self.client.get_run(self.run_id).info.experiment_id)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log metrics, in one call."""
        self.log_curve([(0, metrics)])

    def log_curve(self, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log metrics at several steps, in as few calls as the server allows."""
        now = int(time.time() * 1000)
        entries = [Metric(name, float(value), now, step) for step, found in points for name, value in found.items()]
        with answering():
            for start in range(0, len(entries), METRICS_AT_ONCE):
                self.client.log_batch(self.run_id, metrics=entries[start : start + METRICS_AT_ONCE])

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters; a nested mapping becomes `model.hidden`."""
        entries = [Param(name, str(value)[:LONGEST_PARAM]) for name, value in flat(params).items()]
        with answering():
            for start in range(0, len(entries), PARAMS_AT_ONCE):
                self.client.log_batch(self.run_id, params=entries[start : start + PARAMS_AT_ONCE])

    def log_texts(self, texts: Texts) -> None:
        """Record which texts the run reads, by name; MLflow shows them as its datasets, with digest and counts.

        Args:
            texts: Documents or tokens; the name (`target tokens`) says what they are to the run.
        """
        inputs = []
        for name, ref in texts.items():
            counts = ref.model_dump(mode="json", include={"documents", "labelled", "tokens", "unknown"})
            dataset = Dataset(
                name=name,
                digest=ref.sha256[:LONGEST_DIGEST],
                source_type="local",
                source=json.dumps({"uri": ref.file.as_uri()}),
                profile=json.dumps(counts),
            )
            inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", name.split()[0])]))
        with answering():
            self.client.log_inputs(self.run_id, inputs)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        with answering():
            self.client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def log_folder(self, folder: Path, name: str) -> None:
        """Log all files of a folder as artifacts."""
        with answering():
            self.client.log_artifacts(self.run_id, str(folder), name or None)

    @contextmanager
    def child(
        self, name: str, params: Mapping[str, object], tags: Mapping[str, str], texts: Texts
    ) -> Iterator["MlflowRun"]:
        """Run a step's body with a child run of its own; it ends as the body ends.

        The machine's load (processor, memory, disk, network) is recorded beside its metrics every ten seconds.

        A retry begins a run anew: metrics of one step would be added to the first attempt's curve otherwise.

        Args:
            name: Name of the run, the same for every attempt.
            params: The step's settings.
            tags: What else to find the run by.
            texts: What it reads, by name.

        Raises:
            StoreError: If MLflow does not answer.
        """
        with answering():
            run = _begin_child(self.client, self.experiment_id, self.run_id, name, tags)
        try:
            run.log_params(params)
            run.log_texts(texts)
            with _system_metrics(run):
                yield run
        except BaseException as error:
            # Cancelling raises what is no Exception; such a run did not fail, it was ended.
            finish(run.run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        finish(run.run_id, "FINISHED")

    def find(self, run_id: str, name: str, record: Callable[[Tracker], None]) -> tuple[str, bool]:
        """Find the run that keeps what a cached step had recorded: its own, or one that repeats it.

        Where both were deleted, or the store is another one, what is known of the step is recorded below this run.

        Args:
            run_id: Id of the run that recorded the step.
            name: Name of the run.
            record: Writes what is known of the step, where MLflow knows nothing any more.

        Returns:
            The run's id, and whether it was made just now.

        Raises:
            StoreError: If MLflow does not answer.
        """
        with answering():
            client = self.client
            original = _run(client, run_id)
            if original is not None and _is_active(original):
                return run_id, False
            if repeats := _repeats(client, run_id):
                return repeats, False
            if original is not None:
                return _copy_run(client, self.experiment_id, self.run_id, original), True
            note = "From the cache. The run that computed it is not in this store."
            tags = {COPY_TAG: run_id, "mlflow.note.content": note}
            run = _begin_child(client, self.experiment_id, self.run_id, name, tags)
            record(run)
            client.set_terminated(run.run_id, "FINISHED")
        return run.run_id, True


def _begin_child(client: MlflowClient, experiment: str, parent: str, name: str, tags: Mapping[str, str]) -> MlflowRun:
    tags = {PARENT_TAG: parent, PROCESS_TAG: this_process(), **tags}
    return MlflowRun(client.create_run(experiment, tags=tags, run_name=name).info.run_id)


def _repeats(client: MlflowClient, run_id: str) -> str | None:
    """Return the first finished run that is a copy of a run, or None."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    wanted = f"tags.`{COPY_TAG}` = '{run_id}' and attributes.status = 'FINISHED'"
    found = client.search_runs(experiments, wanted, max_results=1, order_by=["start_time ASC"])
    return str(found[0].info.run_id) if found else None


def flow_run(experiment: str, key: str, name: str, params: Mapping[str, object]) -> str:
    """Return the parent run of a flow run; a retry of the flow run finds the one that it began with.

    Args:
        experiment: Name of the MLflow experiment; it is made if there is none.
        key: What tells this flow run apart: Prefect's id of it.
        name: Name of the run.
        params: The experiment's settings.

    Returns:
        The run's id.

    Raises:
        StoreError: If MLflow does not answer.
    """
    end_runs_of_the_dead()
    with answering():
        client = MlflowClient()
        found = client.search_runs([_experiment(client, experiment)], f"tags.`{FLOW_RUN_TAG}` = '{key}'")
        if found:
            client.update_run(found[0].info.run_id, status="RUNNING")
            client.set_tag(found[0].info.run_id, PROCESS_TAG, this_process())
            return str(found[0].info.run_id)
        # The first two are what MLflow's page of a run calls its source and its author.
        tags = {"mlflow.source.name": f"rnnlm {version('rnnlm')}", "mlflow.user": _user()}
        tags |= {FLOW_RUN_TAG: key, PROCESS_TAG: this_process()}
        run = client.create_run(_experiment(client, experiment), tags=tags, run_name=name)
    MlflowRun(run.info.run_id).log_params(params)
    return str(run.info.run_id)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may give its processes a number without a name
        return "unknown"


def end_runs_of_the_dead() -> None:
    """End the runs that processes of this workplace had begun and not ended when they were killed.

    Models that they had begun to log are marked as deleted; `mlflow gc` removes their files.

    Raises:
        StoreError: If MLflow does not answer.
    """
    with dead_processes() as dead:
        if not dead:
            return
        with answering():
            client = MlflowClient()
            experiments = [one.experiment_id for one in client.search_experiments()]
            for process in dead:
                mine = f"tags.`{PROCESS_TAG}` = '{process}'"
                # A run's end takes it out of the next search.
                while begun := client.search_runs(experiments, f"{mine} and attributes.status = 'RUNNING'"):
                    for run in begun:
                        client.set_terminated(run.info.run_id, "KILLED")
                # A query cannot ask for a model's status: some stores compare it with numbers.
                models = list(pages(client.search_logged_models, experiment_ids=experiments, filter_string=mine))
                for model in models:
                    if model.status == LoggedModelStatus.PENDING:
                        client.delete_logged_model(model.model_id)


def finish(run_id: str, status: str) -> None:
    """End a run: FINISHED, FAILED or KILLED; or SCHEDULED, where it waits to be taken up again."""
    with answering():
        MlflowClient().set_terminated(run_id, status)


def copy_runs(parent: str, run_ids: Sequence[str]) -> None:
    """Add to a flow run the children of the steps that it took from the cache: copies of the runs that computed them.

    So a flow run has all its steps below it, to be sorted and compared, whoever computed them. Parameters, datasets and
    the last value of each metric are copied; curves stay with the run that is named in the copy's description. A flow
    run has one child a step: what it computed itself, or has a copy of, is not copied.

    Args:
        parent: Id of the flow run's run.
        run_ids: Ids of the runs that computed the steps; those that the store does not hold are left out.

    Raises:
        StoreError: If MLflow does not answer.
    """
    with answering():
        client = MlflowClient()
        experiment = client.get_run(parent).info.experiment_id
        below = client.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{parent}'", max_results=MOST_RUNS)
        there = {run.info.run_id for run in below} | {run.data.tags.get(COPY_TAG) for run in below}
        for run_id in dict.fromkeys(run_ids):
            if run_id not in there and (original := _run(client, run_id)) is not None:
                _copy_run(client, experiment, parent, original)


def _copy_run(client: MlflowClient, experiment: str, parent: str, original: mlflow.entities.Run) -> str:
    run_id, data = original.info.run_id, original.data
    tags = {name: value for name, value in data.tags.items() if name.startswith("rnnlm.")}
    tags |= {COPY_TAG: run_id}
    where = page(original.info.experiment_id, run_id)
    tags["mlflow.note.content"] = (
        f"From the cache. [The run that computed it]({where}) has its curves."
        if _is_active(original)
        else "From the cache. The run that computed it was deleted."
    )
    copy = _begin_child(client, experiment, parent, original.info.run_name, tags)
    copy.log_params(data.params)
    copy.log_metrics({name: value for name, value in data.metrics.items() if not name.startswith("system/")})
    if original.inputs and original.inputs.dataset_inputs:
        client.log_inputs(copy.run_id, original.inputs.dataset_inputs)
    client.set_terminated(copy.run_id, "FINISHED")
    return copy.run_id


def log_unchanged(run_id: str) -> bool:
    """Say of a flow run for which nothing had changed which one has its trainings below it.

    Nothing is copied: a schedule would otherwise fill the experiment with the same trainings every night.

    Args:
        run_id: Id of the flow run's run.

    Returns:
        Whether there is one.

    Raises:
        StoreError: If MLflow does not answer.
    """
    with answering():
        client = MlflowClient()
        run = client.get_run(run_id)
        same = _latest_finished(client, run.info.experiment_id)
        if same is not None and (named := same.data.tags.get(SAME_TAG)):
            same = _run(client, named)
        if same is None or not _is_active(same):
            return False
        where = page(same.info.experiment_id, same.info.run_id)
        said = f"Nothing has changed since [an earlier run]({where}), which has the trainings below it."
        note = " ".join(filter(None, [run.data.tags.get("mlflow.note.content"), said]))
    MlflowRun(run_id).set_tags({"mlflow.note.content": note, SAME_TAG: same.info.run_id})
    return True


def _is_active(run: mlflow.entities.Run) -> bool:
    """Return whether a run was not deleted: MLflow keeps those that were, and takes nothing more for them."""
    return bool(run.info.lifecycle_stage == LifecycleStage.ACTIVE)


def _run(client: MlflowClient, run_id: str) -> mlflow.entities.Run | None:
    """Return a run, deleted or not, or None if the store does not hold it."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _latest_finished(client: MlflowClient, experiment_id: str) -> mlflow.entities.Run | None:
    """Return the run of an experiment's latest finished flow run, if there is one."""
    # The runs of trainings have no such tag.
    wanted = f"attributes.status = 'FINISHED' and tags.`{FLOW_RUN_TAG}` LIKE '%'"
    found = client.search_runs([experiment_id], wanted, max_results=1, order_by=["start_time DESC"])
    return found[0] if found else None


def page(experiment_id: str, run_id: str) -> str:
    """Return the address of a run's page, as seen from the first page of MLflow's server."""
    # MLflow opens its pages among those of prompts and traces, where nobody has chosen these.
    return f"#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"


@contextmanager
def _system_metrics(run: MlflowRun) -> Iterator[None]:
    # It would tell the log when it begins and ends.
    logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
    monitor = SystemMetricsMonitor(run.run_id)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


@dataclass(frozen=True)
class FinishedRun:
    """A flow run that came to its end.

    Attributes:
        run_id: Its id in MLflow.
        started: When it began.
        verdict: Its `verdict.json`.
    """

    run_id: str
    started: datetime
    verdict: str


def finished_run(name: str) -> FinishedRun:
    """Return a finished flow run with its verdict.

    Args:
        name: The run's id in MLflow, or the name of an experiment: its latest finished run.

    Raises:
        DataError: If there is no such run, it has not finished, or has no verdict.
        StoreError: If MLflow does not answer.
    """
    with answering():
        client = MlflowClient()
        run = _named_run(client, name)
        if run.info.status != "FINISHED":
            raise DataError(
                f"this run is {run.info.status}, and has no verdict to compare",
                where=name,
                remedy="Run its experiment again: finished steps are kept.",
            )
        if not any(file.path == VERDICT for file in client.list_artifacts(run.info.run_id, "report")):
            raise DataError(
                "this run has no verdict",
                where=name,
                remedy="Name the run of a whole experiment (its parent run in MLflow), not that of one training.",
            )
        with tempfile.TemporaryDirectory() as folder:
            verdict = Path(client.download_artifacts(run.info.run_id, VERDICT, folder)).read_text(encoding="utf-8")
    return FinishedRun(run.info.run_id, datetime.fromtimestamp(run.info.start_time / 1000, UTC), verdict)


def _named_run(client: MlflowClient, name: str) -> mlflow.entities.Run:
    if re.fullmatch("[0-9a-f]{32}", name):
        if (run := _run(client, name)) is not None:
            return run
    elif (experiment := client.get_experiment_by_name(name)) is not None:
        if (latest := _latest_finished(client, experiment.experiment_id)) is not None:
            return latest
        raise DataError("no run of this experiment has finished", where=name, remedy=f"`rnnlm run {name}` makes one.")
    raise DataError(
        "MLflow knows no run with this id, and no experiment with this name",
        where=name,
        remedy="`make up` shows the runs; a run's id is at the top of its page.",
    )


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == LifecycleStage.DELETED:
            # MLflow keeps its name, and makes no other one of this name.
            client.restore_experiment(found.experiment_id)
            logger.warning("The experiment %s was deleted in MLflow; it is restored, with its runs.", name)
        return str(found.experiment_id)
    location = None
    if not client.tracking_uri.startswith("http"):
        # A server knows where artifacts are. Here they would be under whatever folder this process was started in.
        location = (home() / "mlflow" / "artifacts" / name).as_uri()
    # MLflow's pages show what belongs to the training of models, in place of what belongs to prompts and traces.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(name, artifact_location=location, tags=kind))

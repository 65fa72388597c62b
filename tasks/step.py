"""What all steps share: cache keys made of content, retries for what may pass, progress that is seen."""

import contextlib
import errno
import hashlib
import inspect
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

from prefect import Task, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.results import ResultStore, get_result_store
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff
from pydantic import BaseModel

from rnnlm.errors import FullDiskError, RnnlmError, StoreError
from rnnlm.process import alone
from rnnlm.refs import ChallengeRef, ModelRef, Ref
from rnnlm.registry import is_registered
from rnnlm.store import home
from rnnlm.tasks.observe import observer
from rnnlm.tasks.recorded import Recorded, look_for_run
from rnnlm.tracking import Run
from rnnlm.training import progress as training

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("rnnlm.steps")

# Arguments that say for whom a step runs, where it reports to, or what of it is done already: not what it computes.
NOT_IN_KEY = {"parent_run_id", "flow_run_id", "encoded"}

# Seconds between two signs of life of a training.
SECONDS_BETWEEN = 5.0


def step(version: int, run_name: str | None = None) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function a step of the workflow.

    Its result is cached by the content of what goes in: the step's name and version, settings by value, references
    by digest. So a retry, or another run, computes only what has changed.

    Args:
        version: To be raised when the step computes something else from the same input.
        run_name: Name of its task runs, with arguments in braces; none: the step's name.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:

        def key(_: TaskRunContext, parameters: dict[str, Any]) -> str:
            return step_key(function.__name__, version, parameters)

        return task(
            name=function.__name__,
            version=str(version),
            task_run_name=run_name or function.__name__,
            cache_key_fn=key,
            persist_result=True,
            # The default would pickle, which breaks when a class moves and is not safe to read from a shared store.
            result_serializer="json",
            retries=3,
            retry_delay_seconds=exponential_backoff(backoff_factor=2),
            retry_condition_fn=may_pass,
        )(function)

    return decorate


def step_key(name: str, version: int, parameters: Mapping[str, Any]) -> str:
    """Give the cache key of a step with these arguments."""
    content = {k: _content(v) for k, v in parameters.items() if k not in NOT_IN_KEY}
    text = json.dumps(["rnnlm", name, version, content], sort_keys=True, ensure_ascii=False)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _content(value: Any) -> Any:
    if isinstance(value, Ref):
        return value.sha256
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_content(item) for item in value]
    return value


def output_folder() -> Path:
    """Give the folder for the output of the step that runs now: its place follows from its cache key."""
    context = TaskRunContext.get()
    if context is None:
        raise RuntimeError("only a running step has an output folder")
    return home() / "store" / _key(context.task, context.parameters)


def finished_output(function: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> Path | None:
    """Give the folder that a step wrote for these arguments in an earlier run, if it is there; nothing is run."""
    folder = home() / "store" / _key(function, _arguments(function, args, kwargs))
    return folder if folder.is_dir() else None


def known_result(function: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """Return what a step returned for these arguments in an earlier run, if its output is still there; run nothing."""
    key = _key(function, _arguments(function, args, kwargs))
    # Prefect's hints allow for asynchronous callers; here it is the store at once.
    store = cast(ResultStore, get_result_store().update_for_task(function))
    if not store.exists(key):
        return None
    result: Any = store.read(key).result
    return None if isinstance(result, Ref) and not result.exists() else cast(R, result)


def _key(function: Task[..., Any], arguments: Mapping[str, Any]) -> str:
    return step_key(function.name, int(function.version or 0), arguments)


def _arguments(function: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = inspect.signature(function.fn).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def states_folder() -> Path:
    """Give the folder where trainings save their states; each training finds its own by its content."""
    return home() / "training"


def run_step(function: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a step, or take its result from the cache; again, if what the cached reference points to is gone.

    Where another run of the workplace is at the same step with the same input, it waits, and takes its result.
    """

    def waiting() -> None:
        logger.info("Another run is at %s with the same input; this one waits for its result.", function.name)

    arguments = _arguments(function, args, kwargs)
    observer().step_began(_run_name(function, arguments))
    with alone(_key(function, arguments), waiting):
        state = function(*args, **kwargs, return_state=True)
        if _is_gone(state):
            logger.warning("What %s made is not there; the step runs again.", function.name)
            state = function.with_options(refresh_cache=True)(*args, **kwargs, return_state=True)
        return _counted(function, arguments, state)


def submit_step(function: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
    """Begin a step where the flow's task runner runs it; gives what waits for its result.

    With the usual runner it runs here and now, as `run_step` does: TensorFlow's random numbers would not be the same in
    threads.
    """
    if not has_workers():
        result = run_step(function, *args, **kwargs)
        return lambda: result
    arguments = _arguments(function, args, kwargs)
    observer().step_began(_run_name(function, arguments))
    future = function.submit(*args, **kwargs)

    def wait() -> R:
        try:
            future.wait()
        except BrokenExecutor:
            logger.warning("A process of the task runner was killed; %s runs here instead.", function.name)
            return run_step(function, *args, **kwargs)
        if _is_gone(future.state):
            # It finds the cached reference to it, and does the work again.
            return run_step(function, *args, **kwargs)
        return _counted(function, arguments, future.state)

    return wait


def has_workers() -> bool:
    """Tell whether the task runner of the flow that runs now has processes of its own, for several steps at once."""
    context = FlowRunContext.get()
    return context is not None and not isinstance(context.task_runner, ThreadPoolTaskRunner)


def _is_gone(state: State[Any]) -> bool:
    """Tell whether a step's result came from the cache, and what it refers to, here or elsewhere, is not there now."""
    if state.name != "Cached":
        return False
    result = state.result()
    if isinstance(result, ChallengeRef):
        result = result.model
    if isinstance(result, ModelRef):
        return not is_registered(result)
    return isinstance(result, Ref) and not result.exists()


def _run_name(function: Task[..., Any], arguments: Mapping[str, Any]) -> str:
    """Return the name of a step's task run, as Prefect makes it."""
    return str(function.task_run_name or function.name).format(**arguments)


def _counted(function: Task[P, R], arguments: Mapping[str, Any], state: State[Any]) -> R:
    """Return a step's result, and remember whether it was computed or came from the cache."""
    steps = steps_of_this_run()
    result: Any = state.result()
    observer().step_ended(_run_name(function, arguments), result, state.name == "Cached")
    if state.name != "Cached":
        steps.computed.add(function.name)
        return cast(R, result)
    steps.cached += 1
    if isinstance(result, Recorded):
        run_id, again = look_for_run(result, arguments)
        result = result.model_copy(update={"mlflow_run_id": run_id})
        steps.recorded.append(run_id)
        steps.again |= again
    return cast(R, result)


@dataclass
class Steps:
    """What a flow run has done.

    Attributes:
        cached: How many steps came from the cache.
        computed: The names of those that did not.
        recorded: The MLflow runs of those that did.
        again: Whether some of those runs were gone, and were recorded again.
    """

    cached: int = 0
    computed: set[str] = field(default_factory=set)
    recorded: list[str] = field(default_factory=list)
    again: bool = False


_steps: dict[str, Steps] = {}


def steps_of_this_run() -> Steps:
    """Give what the flow run that runs now has done in this process."""
    return _steps.setdefault(str(flow_run.id), Steps())


def may_pass(task: Any, _: TaskRun, state: State[Any]) -> bool:
    """Tell whether a failure may pass by itself: a store or a network that did not answer, never data or settings.

    Prefect asks where tries are left: what may pass is tried again, and the log says so.
    """
    try:
        state.result()
    except Exception as error:
        passing = _passing(error)
        if passing:
            logger.warning("%s is tried again: %s", getattr(task, "name", "The step"), error)
        return passing
    return False


def _passing(error: Exception) -> bool:
    if isinstance(error, RnnlmError):
        return isinstance(error, StoreError) and not isinstance(error, FullDiskError)
    if isinstance(error, sqlite3.OperationalError):
        return "disk is full" not in str(error)
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return isinstance(error, OSError) and error.errno in (errno.EIO, errno.EAGAIN, errno.EBUSY, errno.ESTALE)


class Progress:
    """Shows a training's progress in the log, in MLflow and as an artifact in Prefect's UI.

    Every report goes to MLflow; they are sent, and the log and the artifact brought up to date, every few seconds and
    at each evaluation.

    Args:
        run: The MLflow run of the step.
        description: What is in progress.
    """

    def __init__(self, run: Run, description: str) -> None:
        self.run = run
        self.description = description
        # One key for all: the Artifacts page then has one entry for progress, and does not bury the verdict. Prefect's
        # hints allow for asynchronous callers; here it is the id at once.
        self.artifact = cast(UUID, create_progress_artifact(progress=0.0, key="progress", description=description))
        self._waiting: list[tuple[int, dict[str, float]]] = []
        self._shown = time.monotonic()

    def __enter__(self) -> "Progress":
        """Give itself; leaving sends what was not sent yet, above all the last points before a failure."""
        return self

    def __exit__(self, _: object, error: object, __: object) -> None:
        """Send what was not sent yet."""
        # A store that does not answer must not hide what went wrong before.
        with contextlib.suppress(StoreError) if error else contextlib.nullcontext():
            self.run.log_curve(self._waiting)
        self._waiting = []

    def __call__(self, progress: training.Progress) -> None:
        """Show where the training is."""
        loss = (
            f"perplexity {progress.perplexity:.4g}" if progress.unit == "tokens" else f"loss {progress.train_loss:.4f}"
        )
        rate = f"{loss}, {progress.rate:,.0f} {progress.unit}/s"
        observer().progressed(self.description, progress.step, progress.steps, rate)
        if not progress.passing:
            self._waiting.append((progress.step, _metrics(progress)))
        if not progress.metrics and time.monotonic() - self._shown < SECONDS_BETWEEN:
            return
        logger.info("%s: %s", self.description, progress)
        self.run.log_curve(self._waiting)
        update_progress_artifact(
            self.artifact,
            progress=100.0 * progress.step / progress.steps,
            description=f"{self.description}: {progress}",
        )
        self._waiting, self._shown = [], time.monotonic()


def _metrics(progress: training.Progress) -> dict[str, float]:
    metrics = {
        "train/loss": progress.train_loss,
        f"train/{progress.unit}_per_second": progress.rate,
        "train/learning_rate": progress.learning_rate,
        "train/gradient_norm": progress.gradient_norm,
        "train/clipped": progress.clipped,
        "train/waiting_for_data": progress.waiting,
        "train/memory_mb": progress.memory,
    }
    if progress.unit == "tokens":
        metrics["train/perplexity"] = progress.perplexity
    return metrics | {f"valid/{name}": value for name, value in progress.metrics.items()}

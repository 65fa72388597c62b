"""Steps as Prefect tasks: cached by content, tried again where that may help, with progress that is seen."""

import errno
import functools
import inspect
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

from prefect import Task, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.settings import PREFECT_TASKS_REFRESH_CACHE
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from rnnlm.checksums import is_whole
from rnnlm.errors import FullDiskError, RnnlmError, StoreError
from rnnlm.process import alone
from rnnlm.refs import ChallengeRef, ModelRef, Ref
from rnnlm.registry import is_registered
from rnnlm.steps.observe import observer
from rnnlm.steps.recorded import find_record
from rnnlm.steps.runner import waiting
from rnnlm.steps.step import Step, logger
from rnnlm.tracking import Null, Tracker

P = ParamSpec("P")
R = TypeVar("R")

# A task's argument that the step does not have: the run that it is recorded in.
TRACKER = "tracker"


@functools.cache
def task_of(step: Step[..., R]) -> Task[..., R]:
    """Return the Prefect task that runs a step.

    Its result is cached by the step's key: a retry, or another run, computes only what has changed.

    Args:
        step: The step.
    """

    def run(*args: Any, tracker: Tracker, **kwargs: Any) -> R:
        arguments = step.arguments(*args, **kwargs)
        known = None if _is_refreshed() else step.known(arguments)
        if known is None:
            return step.compute(arguments, tracker, _meter)
        # Prefect has not seen what was computed from Python alone, or for another server.
        return find_record(tracker, known, arguments)[0]

    def key(_: TaskRunContext, parameters: dict[str, Any]) -> str:
        return step.key({name: value for name, value in parameters.items() if name != TRACKER})

    functools.update_wrapper(run, step.function)
    # Prefect binds and names the arguments by it.
    tracker = inspect.Parameter(TRACKER, inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = step.signature.replace(  # type: ignore[attr-defined]
        parameters=[*step.signature.parameters.values(), tracker]
    )
    return task(
        name=step.name,
        version=str(step.version),
        task_run_name=step.run_name,
        cache_key_fn=key,
        persist_result=True,
        # The default would pickle, which breaks when a class moves and is not safe to read from a shared store.
        result_serializer="json",
        retries=3,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_condition_fn=may_pass,
    )(run)


def _is_refreshed() -> bool:
    """Return whether the user wants the step that runs now to be computed again."""
    context = TaskRunContext.get()
    return bool(PREFECT_TASKS_REFRESH_CACHE.value() or (context and context.task.refresh_cache))


def _meter(description: str) -> Callable[[float, str], None]:
    """Show how far something is as an artifact in Prefect's UI."""
    # One key for all: the Artifacts page then has one entry for progress, and does not bury the verdict. Prefect's
    # hints allow for asynchronous callers; here it is the id at once.
    artifact = cast(UUID, create_progress_artifact(progress=0.0, key="progress", description=description))

    def show(percent: float, sentence: str) -> None:
        update_progress_artifact(artifact, progress=percent, description=sentence)

    return show


@dataclass
class Prefect:
    """Runs the steps of a flow run as Prefect tasks.

    Attributes:
        tracker: The flow run's own run in MLflow, or what records nothing.
        cached: How many steps came from the cache.
        computed: The names of those that did not.
        recorded: The MLflow runs of the steps.
        again: Whether some of those runs were gone, and were recorded again.
    """

    tracker: Tracker = field(default_factory=Null)
    cached: int = 0
    computed: set[str] = field(default_factory=set)
    recorded: list[str] = field(default_factory=list)
    again: bool = False

    @property
    def parallel(self) -> bool:
        """Whether the task runner of the flow that runs now has processes of its own, for several steps at once."""
        context = FlowRunContext.get()
        return context is not None and not isinstance(context.task_runner, ThreadPoolTaskRunner)

    def run(self, step: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a step, or take its result from the cache; again, if what the cached reference points to is gone.

        Where another run of the workplace is at the same step with the same input, it waits, and takes its result.
        """
        arguments = step.arguments(*args, **kwargs)
        observer().step_began(step.title(arguments))
        with alone(step.key(arguments), lambda: waiting(step.name)):
            given: dict[str, Any] = {**arguments, TRACKER: self.tracker}
            state = task_of(step)(**given, return_state=True)
            if _is_gone(state):
                known = step.known(arguments)
                if known is not None:  # only what Prefect kept is damaged
                    return self._counted(step, arguments, known, cached=True)
                logger.warning("What %s made is not there; the step runs again.", step.name)
                state = task_of(step).with_options(refresh_cache=True)(**given, return_state=True)
            return self._counted(step, arguments, cast(R, state.result()), state.name == "Cached")

    def submit(self, step: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
        """Begin a step where the flow's task runner runs it, and return what waits for its result.

        With the usual runner it runs here and now, as `run` does: TensorFlow's random numbers would not be the same in
        threads.
        """
        if not self.parallel:
            result = self.run(step, *args, **kwargs)
            return lambda: result
        arguments = step.arguments(*args, **kwargs)
        observer().step_began(step.title(arguments))
        future = task_of(step).submit(**arguments, **{TRACKER: self.tracker})

        def wait() -> R:
            try:
                future.wait()
            except BrokenExecutor:
                logger.warning("A process of the task runner was killed; %s runs here instead.", step.name)
                return self.run(step, *args, **kwargs)
            if _is_gone(future.state):
                # It finds the cached reference to it, and does the work again.
                return self.run(step, *args, **kwargs)
            return self._counted(step, arguments, cast(R, future.state.result()), future.state.name == "Cached")

        return wait

    def _counted(self, step: Step[P, R], arguments: Mapping[str, Any], result: R, cached: bool) -> R:
        """Return a step's result, and remember whether it was computed or came from the cache."""
        again = False
        if cached:
            # Of the two copies, ours has a digest.
            known = step.known(arguments)
            result, again = find_record(self.tracker, result if known is None else known, arguments)
        observer().step_ended(step.title(arguments), result, cached)
        if recorded := getattr(result, "recorded_as", None):
            self.recorded.append(recorded)
        if not cached:
            self.computed.add(step.name)
            return result
        self.cached += 1
        self.again |= again
        # One that Prefect alone remembers is found by other runs, too.
        step.keep(arguments, result)
        return result


def _is_gone(state: State[Any]) -> bool:
    """Return whether a step's result came from the cache, and what it refers to is not there now, here or elsewhere."""
    if state.name != "Cached":
        return False
    try:
        result = state.result()
    except Exception as error:  # of whatever has become of Prefect's own file
        logger.warning("What Prefect kept of the step cannot be read: %s", error)
        return True
    if isinstance(result, ChallengeRef):
        result = result.model
    if isinstance(result, ModelRef):
        return not is_registered(result)
    return isinstance(result, Ref) and not is_whole(result.path)


def may_pass(task: Any, _: TaskRun, state: State[Any]) -> bool:
    """Return whether a failure may pass by itself: a store or a network that did not answer, never data or settings.

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

"""What runs steps: here and now, or by Prefect; or what only looks at which of them are done."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, Protocol, TypeVar

from rnnlm.errors import RnnlmError
from rnnlm.process import alone
from rnnlm.steps.observe import observer
from rnnlm.steps.recorded import find_record
from rnnlm.steps.step import Step, logger
from rnnlm.tracking import Null, Tracker

P = ParamSpec("P")
R = TypeVar("R")


class Runner(Protocol):
    """Runs the steps of an experiment, or takes their results from the cache."""

    @property
    def tracker(self) -> Tracker:
        """Where the run is recorded."""
        ...

    @property
    def parallel(self) -> bool:
        """Whether several submitted steps run at once."""
        ...

    def run(self, step: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a step, or take its result from the cache."""
        ...

    def submit(self, step: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
        """Begin a step, and return what waits for its result."""
        ...


@dataclass(frozen=True)
class Local:
    """Runs each step in this process, with neither server nor database.

    Its cache is the one that Prefect's runs have: what either has computed, the other does not compute again.

    Attributes:
        tracker: Where the run is recorded.
    """

    tracker: Tracker = field(default_factory=Null)
    parallel: bool = False

    def run(self, step: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a step, or take its result from the cache.

        Where another run of the workplace is at the same step with the same input, it waits, and takes its result.
        """
        arguments = step.arguments(*args, **kwargs)
        title = step.title(arguments)
        observer().step_began(title)
        with alone(step.key(arguments), lambda: waiting(step.name)):
            known = step.known(arguments)
            result = step.compute(arguments, self.tracker) if known is None else known
        observer().step_ended(title, result, known is not None)
        return result if known is None else find_record(self.tracker, result, arguments)[0]

    def submit(self, step: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
        """Run a step, and return what returns its result."""
        result = self.run(step, *args, **kwargs)
        return lambda: result


class NotDoneError(RnnlmError):
    """A step that was only looked for has no result yet."""


@dataclass(frozen=True)
class Look:
    """Runs nothing: takes from the cache what is there."""

    tracker: Tracker = field(default_factory=Null)
    parallel: bool = False

    def run(self, step: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the result of a step from the cache.

        Raises:
            NotDoneError: If it is not there.
        """
        found = step.known(step.arguments(*args, **kwargs), check=False)
        if found is None:
            raise NotDoneError(f"{step.name} has not run for this input")
        return found

    def submit(self, step: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
        """Return what returns the result of a step from the cache."""
        result = self.run(step, *args, **kwargs)
        return lambda: result


def waiting(step: str) -> None:
    """Say that another run of the workplace is at the same step."""
    logger.info("Another run is at %s with the same input; this one waits for its result.", step)

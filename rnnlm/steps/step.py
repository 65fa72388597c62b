"""What all steps share: an output that follows from the input alone, and is found again by it."""

import hashlib
import inspect
import json
import logging
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from pydantic import BaseModel, TypeAdapter

from rnnlm.checksums import is_whole
from rnnlm.process import this_process
from rnnlm.refs import Ref
from rnnlm.store import SUMS, home, mark_used, read_json, write_whole
from rnnlm.tracking import Tracker

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("rnnlm.steps")

# Takes the name of what is in progress. Returns what is called with the percentage that is done, and with a sentence.
Meter = Callable[[str], Callable[[float, str], None]]


def no_meter(_: str) -> Callable[[float, str], None]:
    """Show nothing."""
    return lambda _percent, _sentence: None


@dataclass(frozen=True)
class Place:
    """Where a step writes while it runs, and who hears of it.

    Attributes:
        folder: The folder of its output.
        tracker: The run that it is a part of.
        meter: Shows how far it is.
    """

    folder: Path
    tracker: Tracker
    meter: Meter = no_meter


@dataclass(frozen=True)
class Step(Generic[P, R]):
    """A step: a function of its arguments alone, but for the place where it runs.

    Its key is made of its name and version, of settings by value, and of references by digest. So a retry, or another
    run, computes only what has changed.

    Attributes:
        function: What it does.
        version: A number that is raised when the step computes something else from the same input.
        run_name: What one run of it is called, with arguments in braces.
        not_in_key: Arguments that do not say what it computes: for whom it runs, or what of it is done already.
    """

    function: Callable[Concatenate[Place, P], R]
    version: int
    run_name: str
    not_in_key: frozenset[str] = frozenset()

    def __reduce__(self) -> tuple[Any, ...]:
        """Be found by name in another process: only code that is there runs there."""
        return _step_named, (self.function.__module__, self.name)

    @property
    def name(self) -> str:
        """Its name."""
        return self.function.__name__

    @property
    def signature(self) -> inspect.Signature:
        """What it takes: the function's arguments without the place."""
        whole = inspect.signature(self.function)
        return whole.replace(parameters=list(whole.parameters.values())[1:])

    @property
    def result_type(self) -> type[R]:
        """What it returns."""
        return cast(type[R], typing.get_type_hints(self.function)["return"])

    def arguments(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """Return arguments by name, with the defaults of those that were left out."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def title(self, arguments: Mapping[str, Any]) -> str:
        """Return what a run with these arguments is called."""
        return self.run_name.format(**arguments)

    def key(self, arguments: Mapping[str, Any]) -> str:
        """Return the name under which the output for these arguments is kept."""
        content = {name: _content(value) for name, value in arguments.items() if name not in self.not_in_key}
        return f"{self.name}-{_digest(['rnnlm', self.name, self.version, content])[:32]}"

    def folder(self, arguments: Mapping[str, Any]) -> Path:
        """Return the folder of the output for these arguments."""
        return home() / "store" / self.key(arguments)

    def compute(self, arguments: Mapping[str, Any], tracker: Tracker, meter: Meter = no_meter) -> R:
        """Run the step, and keep what it returns."""
        this_process()  # `rnnlm gc` sees that it lives
        result = cast(Callable[..., R], self.function)(Place(self.folder(arguments), tracker, meter), **arguments)
        self.keep(arguments, result)
        return result

    def keep(self, arguments: Mapping[str, Any], result: R) -> None:
        """Keep a reference to an output of the store, so that any run finds it."""
        if not isinstance(result, Ref) or self.known(arguments) == result:
            return
        content = result.model_dump(mode="json")
        # Earlier versions listed no digests of an output's files, and none are asked for then.
        digest = {"digest": _digest(content)} if (result.path / SUMS).is_file() else {}
        written = json.dumps(content | digest, ensure_ascii=False, separators=(",", ":"))
        write_whole(self._file(arguments), written)

    def known(self, arguments: Mapping[str, Any], *, check: bool = True) -> R | None:
        """Return what the step returned for these arguments, here or in another run, if the output is still there.

        Args:
            arguments: The arguments.
            check: Whether the output's files are compared with their digests. A damaged output is set aside.
        """
        file = self._file(arguments)
        try:
            content = read_json(file)
            digest = content.pop("digest", None)  # earlier versions wrote none
            if digest not in (None, _digest(content)):
                raise ValueError("it is not what was written")
            result: Any = TypeAdapter(self.result_type).validate_python(content, strict=False)
            if isinstance(result, Ref) and not any(
                result.path.is_relative_to(home() / one) for one in ("store", "runs")
            ):
                raise ValueError(f"its output is not in {home()}")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, TypeError) as error:  # of pydantic and of Unicode, too
            logger.warning("%s is damaged, and the step runs again: %s", file, error)
            return None
        if not isinstance(result, Ref):
            return None
        if not check:
            return cast(R, result) if result.path.is_dir() else None
        if not is_whole(result.path, listed=digest is not None):
            return None
        this_process()  # `rnnlm gc` sees that it lives
        mark_used(file)
        return cast(R, result)

    def _file(self, arguments: Mapping[str, Any]) -> Path:
        return home() / "results" / f"{self.key(arguments)}.json"


def step(
    version: int, run_name: str | None = None, not_in_key: Iterable[str] = ()
) -> Callable[[Callable[Concatenate[Place, P], R]], Step[P, R]]:
    """Make a function a step.

    Args:
        version: To be raised when the step computes something else from the same input.
        run_name: What one run of it is called, with arguments in braces; the step's name if None.
        not_in_key: Arguments that do not say what it computes.
    """

    def decorate(function: Callable[Concatenate[Place, P], R]) -> Step[P, R]:
        return Step(function, version, run_name or function.__name__, frozenset(not_in_key))

    return decorate


def _step_named(module: str, name: str) -> Step[..., Any]:
    found = getattr(import_module(module), name)
    assert isinstance(found, Step)
    return found


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _content(value: Any) -> Any:
    if isinstance(value, Ref):
        return value.sha256
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_content(item) for item in value]
    return value


def states_folder() -> Path:
    """Return the folder where trainings save their states; each training finds its own by its content."""
    return home() / "training"

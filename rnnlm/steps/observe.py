"""Who hears what a run does while it does it: nobody, unless a terminal or a notebook shows it."""

import contextlib
import time
from collections.abc import Iterator


class Observer:
    """Hears what happens; this one keeps it to itself."""

    def stage_began(self, name: str) -> None:
        """A part of the run begins, as people would call it; the steps that follow belong to it."""

    def stage_ended(self, name: str, seconds: float) -> None:
        """It has ended, and all went well."""

    def steps_ahead(self, number: int) -> None:
        """The stage has this many steps."""

    def step_began(self, name: str) -> None:
        """A step begins, or is given to a task runner's worker."""

    def step_ended(self, name: str, result: object, cached: bool) -> None:
        """It has ended with this result, perhaps one from the cache."""

    def progressed(self, name: str, done: int, of: int, rate: str = "") -> None:
        """What runs now is so far, at this rate."""


_observers = [Observer()]


def observer() -> Observer:
    """Return who hears it now."""
    return _observers[-1]


@contextlib.contextmanager
def observed_by(one: Observer) -> Iterator[None]:
    """Let this one hear what happens meanwhile in this process."""
    _observers.append(one)
    try:
        yield
    finally:
        _observers.remove(one)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Call what happens meanwhile a stage of the run; also a function's decorator."""
    began = time.monotonic()
    observer().stage_began(name)
    yield
    observer().stage_ended(name, time.monotonic() - began)

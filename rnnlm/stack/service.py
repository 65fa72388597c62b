"""Services of this machine, each a process with all that it starts: started, waited for, stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rnnlm.environment import PATIENCE, patience
from rnnlm.errors import StoreError
from rnnlm.stack.attached import STOP_SECONDS
from rnnlm.store import home


@dataclass(frozen=True)
class Service:
    """A server, or a worker.

    Attributes:
        name: What people call it.
        address: Where the browser finds it; a worker has no address.
        works: Whether it works by now.
        command: What starts it: a module and its arguments.
        environment: What it needs besides this process's environment.
        of: What tells its log from those of other services of the same name.
    """

    name: str
    address: str
    works: Callable[[], bool]
    command: list[str]
    environment: dict[str, str]
    of: str = ""

    @property
    def log(self) -> Path:
        """The file of all that it prints."""
        return home() / "logs" / f"{self.name.lower()}{self.of}.log"


@contextlib.contextmanager
def running() -> Iterator[list["Started"]]:
    """Yield a list to which services are added as they start; at the end all are stopped, the last first."""
    started: list[Started] = []
    try:
        yield started
    finally:
        stop([one.process for one in reversed(started)])


@dataclass(frozen=True)
class Started:
    """A service and its process.

    Attributes:
        service: What was started.
        process: Its process.
        since: When, by the monotonic clock.
    """

    service: Service
    process: subprocess.Popen[bytes]
    since: float


def start(service: Service, again: bool = False) -> Started:
    """Start a service that ends, with its children, when it is stopped or this process dies.

    Args:
        service: What to start.
        again: Whether it ran before: what it said then stays in its log.
    """
    service.log.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    with service.log.open("ab" if again else "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rnnlm.stack.attached", *service.command],
            env=environment | service.environment,
            # Never written to: the service ends where this end of the pipe is closed.
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C reaches only us, and we reach its children too.
            start_new_session=True,
        )
    return Started(service, process, time.monotonic())


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Stop processes with all that they have started; those that do not end are killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            _signal_group(process, number)
        end = time.monotonic() + STOP_SECONDS
        while any(_signal_group(process, 0) for process in processes) and time.monotonic() < end:
            time.sleep(0.05)
    for process in processes:
        if process.stdin:
            process.stdin.close()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal (0: none) to a process and its children; tells whether any of them is left."""
    process.poll()  # a process that nobody has asked for its exit code counts as running
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_for(started: list[Started]) -> None:
    """Wait until each service works.

    Raises:
        StoreError: If one ends, or does not work in time.
    """
    end = time.monotonic() + patience()
    missing = [one.service for one in started]
    while missing := [service for service in missing if not service.works()]:
        all_alive(started)
        if time.monotonic() > end:
            names = " and ".join(service.name for service in missing)
            logs = " and ".join(str(service.log) for service in missing)
            raise StoreError(
                f"{names} did not answer within {patience()} s",
                remedy=f"See {logs}. On a slow machine set {PATIENCE} to more seconds.",
            )
        time.sleep(0.2)


def all_alive(started: list[Started]) -> None:
    """Raise a StoreError if a service has ended by itself."""
    for one in started:
        if one.process.poll() is not None:
            log = one.service.log
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise StoreError(
                f"{one.service.name} ended by itself (exit code {one.process.returncode}): {''.join(last)}",
                remedy=f"See {log}.",
            )

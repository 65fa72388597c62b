"""The Prefect server and the MLflow server over what the runs have left in `$RNNLM_HOME`, for `rnnlm ui`."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from flows.environment import SERVERS, answers, running_servers
from rnnlm.errors import ConfigError, StoreError
from rnnlm.store import home

HOST = "127.0.0.1"
PREFECT_PORT = 4200
MLFLOW_PORT = 5000
START_SECONDS = 180.0  # the first start also makes the tables
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    """One server of the two.

    Attributes:
        name: What people call it.
        port: Its port on this machine.
        health: Path that answers 200 as soon as it works.
        command: What starts it.
        environment: What it needs besides this process's environment.
    """

    name: str
    port: int
    health: str
    command: list[str]
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """Where the browser finds it."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """The file of all that it says."""
        return home() / "logs" / f"{self.name.lower()}-server.log"


def serve(prefect_port: int | None = None, mlflow_port: int | None = None) -> None:
    """Run both servers until Ctrl-C, or a signal, ends this process; says where they are.

    Args:
        prefect_port: Port of Prefect's server; none: 4200 or the next that is free.
        mlflow_port: Port of MLflow's server; none: 5000 or the next that is free.

    Raises:
        ConfigError: If a port that was asked for is busy, or the environment names servers elsewhere.
        StoreError: If a server does not start, or ends by itself.
    """
    _data_is_here()
    with _only_one() as first:
        if not first:
            _tell_of_the_first()
            return
        _refuse_leftovers()
        prefect = find_port(PREFECT_PORT, prefect_port, "--prefect-port")
        mlflow = find_port(MLFLOW_PORT, mlflow_port, "--mlflow-port", taken=prefect)
        servers = [_prefect_server(prefect), _mlflow_server(mlflow)]
        with contextlib.suppress(KeyboardInterrupt), _interrupted_by_signals(), _running(servers) as processes:
            print("Starting the servers…", flush=True)
            _wait_for(servers, processes)
            with _told(servers, processes):
                for server, usual, wanted in zip(
                    servers, (PREFECT_PORT, MLFLOW_PORT), (prefect_port, mlflow_port), strict=True
                ):
                    note = f"  (port {usual} is busy)" if wanted is None and server.port != usual else ""
                    print(f"{server.name:<8} {server.address}{note}")
                print("Ctrl-C stops both.", flush=True)
                while True:
                    _all_alive(servers, processes)
                    time.sleep(0.5)


def find_port(usual: int, wanted: int | None, option: str, taken: int | None = None) -> int:
    """Give the port that was asked for, or else the first free one from the usual one on.

    Args:
        usual: Where the search begins.
        wanted: The port that the user asked for.
        option: The command line's option for it.
        taken: A port that is given away already.

    Raises:
        ConfigError: If the port that was asked for is busy.
    """
    if wanted is not None:
        if wanted == taken or not is_free(wanted):
            raise ConfigError(
                f"port {wanted} is busy.", where=option, remedy="Leave the option out to find a free one."
            )
        return wanted
    for port in range(usual, min(usual + 100, 65_536)):
        if port != taken and is_free(port):
            return port
    raise ConfigError(f"no port from {usual} to {usual + 99} is free.", where=option, remedy="Name a free one.")


def is_free(port: int) -> bool:
    """Tell whether a server may listen at this port of this machine."""
    with socket.socket() as probe:
        # A service may listen on all addresses, where some systems let a second one bind to a single address.
        if probe.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as probe:
        # As the servers themselves do: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _prefect_server(port: int) -> Server:
    return Server(
        name="Prefect",
        port=port,
        health="/api/health",
        command=["prefect", "server", "start", "--host", HOST, "--port", str(port)],
        environment={
            # The pages ask the API at this address; by default they would take the usual port.
            "PREFECT_UI_API_URL": f"http://{HOST}:{port}/api",
            # By default any page in the user's browser may talk to the API.
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port},http://localhost:{port}",
        },
    )


def _mlflow_server(port: int) -> Server:
    artifacts = home() / "mlflow" / "artifacts"
    command = ["mlflow", "server", "--backend-store-uri", os.environ["MLFLOW_TRACKING_URI"], "--workers", "1"]
    return Server(
        name="MLflow",
        port=port,
        health="/health",
        command=[*command, "--artifacts-destination", artifacts.as_uri(), "--host", HOST, "--port", str(port)],
        # Its seven job processes (130 MB each) serve what is not used here.
        environment={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )


def _data_is_here() -> None:
    """Refuse to show an empty server while the environment sends the runs to another one."""
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        value = os.environ.get(name, "")
        ours = running_servers()
        if value.startswith("http") and not (ours and value == f"{ours['prefect']}/api"):
            raise ConfigError(
                f"the runs are kept by the server at {value}.",
                where=name,
                remedy="Look there, or unset the variable to see the runs of this machine.",
            )


@contextlib.contextmanager
def _only_one() -> Iterator[bool]:
    """Tell whether this is the only `rnnlm ui` of the folder; the system frees the lock even after a kill."""
    home().mkdir(parents=True, exist_ok=True)
    with (home() / f"{SERVERS}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _tell_of_the_first() -> None:
    servers = running_servers()
    if servers is None:
        print("Another `rnnlm ui` is just starting the servers of this folder.")
        return
    print(f"`rnnlm ui` runs already (process {servers['pid']}).")
    print(f"Prefect  {servers['prefect']}\nMLflow   {servers['mlflow']}")


def _refuse_leftovers() -> None:
    """Name the servers that an earlier `rnnlm ui` could not stop, because it was killed itself."""
    if servers := running_servers():
        groups = " ".join(f"-{group}" for group in servers["groups"])
        raise ConfigError(
            f"servers of an earlier `rnnlm ui`, which was killed, still run at {servers['prefect']} "
            f"and {servers['mlflow']}.",
            remedy=f"Stop them with: kill -- {groups}",
        )


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Let the signals that end a process end it as Ctrl-C does, so that nothing is left running."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell without job control starts background processes with SIGINT ignored.
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _running(servers: list[Server]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run the servers; at the end stop them with all that they have started."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for server in servers:
            processes.append(_start(server))  # noqa: PERF401 - if the second fails, the first is known
        yield processes
    finally:
        _stop(processes)


def _start(server: Server) -> subprocess.Popen[bytes]:
    server.log.parent.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    with server.log.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *server.command],
            env=environment | server.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C reaches only us, and we reach its children too.
            start_new_session=True,
        )


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            _signal_group(process, number)
        end = time.monotonic() + STOP_SECONDS
        while any(_signal_group(process, 0) for process in processes) and time.monotonic() < end:
            time.sleep(0.05)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal (0: none) to a server and its children; tells whether any of them is left."""
    process.poll()  # a process that nobody has asked for its exit code counts as running
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _wait_for(servers: list[Server], processes: list[subprocess.Popen[bytes]]) -> None:
    end = time.monotonic() + START_SECONDS
    missing = list(servers)
    while missing := [server for server in missing if not answers(f"{server.address}{server.health}")]:
        _all_alive(servers, processes)
        if time.monotonic() > end:
            names = " and ".join(server.name for server in missing)
            logs = " and ".join(str(server.log) for server in missing)
            raise StoreError(f"{names} did not answer within {START_SECONDS:.0f} s.", remedy=f"See {logs}.")
        time.sleep(0.2)


def _all_alive(servers: list[Server], processes: list[subprocess.Popen[bytes]]) -> None:
    for server, process in zip(servers, processes, strict=True):
        if process.poll() is not None:
            last = server.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise StoreError(
                f"the {server.name} server ended by itself (exit code {process.returncode}): {''.join(last)}",
                remedy=f"See {server.log}.",
            )


@contextlib.contextmanager
def _told(servers: list[Server], processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Write down where the servers are, so that runs use them, for as long as they run."""
    content: dict[str, Any] = {server.name.lower(): server.address for server in servers}
    content |= {"pid": os.getpid(), "groups": [process.pid for process in processes]}
    file = home() / SERVERS
    new = file.with_suffix(".new")
    new.write_text(json.dumps(content), encoding="utf-8")
    new.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)

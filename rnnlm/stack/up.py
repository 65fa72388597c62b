"""`rnnlm up` and `down`: the servers over what the runs have left, a worker, and the deployments."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rnnlm.environment import HOSTS, SERVERS, answers, patience, running_servers
from rnnlm.errors import ConfigError, StoreError
from rnnlm.half_made import MLFLOW, PREFECT, is_half_made, set_aside
from rnnlm.process import alone
from rnnlm.signals import interrupted_by_signals
from rnnlm.stack.api import POOL, ask
from rnnlm.stack.ports import HOST, find_port
from rnnlm.stack.service import Service, Started, all_alive, running, start, stop, wait_for
from rnnlm.stack.status import is_starting, only_one, print_links
from rnnlm.store import home, write_whole

PREFECT_PORT = 4200
MLFLOW_PORT = 5000
WORKER = "rnnlm-up"  # the worker's name in Prefect
QUERY_SECONDS = "PREFECT_WORKER_QUERY_SECONDS"
DOWN_SECONDS = 60.0
LEFT_SECONDS = 15.0  # servers whose `rnnlm up` was killed end within ten seconds
WORKER_SECONDS = 60.0  # a worker that ends before has something wrong with it: another one would end too


def up(prefect_port: int | None = None, mlflow_port: int | None = None) -> None:
    """Run servers and a worker until Ctrl-C, or a signal, ends this process; says where they are.

    The deployments are made anew at each start, so that they are what the code says; schedules stay as they are.

    Args:
        prefect_port: Port of Prefect's server; if None, 4200 or the next that is free.
        mlflow_port: Port of MLflow's server; if None, 5000 or the next that is free.

    Raises:
        ConfigError: If a port that was asked for is busy, or the environment names servers elsewhere.
        StoreError: If a service does not start, or ends by itself.
    """
    _data_is_here()
    with only_one() as first:
        if not first:
            _tell_of_the_first()
            return
        _wait_for_leftovers()
        print("Starting the servers…", flush=True)
        # Loads Prefect, which takes seconds, and which `down` does without.
        from rnnlm.stack.deploy import deploy

        prefect = find_port(PREFECT_PORT, prefect_port, "--prefect-port")
        mlflow = find_port(MLFLOW_PORT, mlflow_port, "--mlflow-port", taken=prefect)
        database = home() / "mlflow" / "mlflow.db"
        if not database.exists() or is_half_made(database, MLFLOW):
            # Loads MLflow, and so only in a new workplace.
            from rnnlm.mlflow_store import make_store

            make_store()
        servers = [prefect_server(prefect), _mlflow_server(mlflow)]
        with contextlib.suppress(KeyboardInterrupt), interrupted_by_signals(), running() as started:
            with first_start():
                started += map(start, servers)
                wait_for(started)
            # Before the worker, which would make its pool, too.
            deploy(f"{servers[0].address}/api")
            started.append(start(_worker(servers[0].address)))
            wait_for(started)
            with _told(started):
                print_links({server.name: server.address for server in servers})
                print("Ctrl-C, or `rnnlm down`, stops all.", flush=True)
                _watch(started)


def _watch(started: list[Started]) -> None:
    """Look after the services until this process is ended: a worker that ends by itself is started again.

    Prefect's worker breaks down where a run is resumed before its process has ended. What it was running is stopped
    with it, and goes on from its last saved state.

    Raises:
        StoreError: If a server ends, or a worker that has just been started.
    """
    while True:
        *servers, worker = started
        lasted = time.monotonic() - worker.since > WORKER_SECONDS
        all_alive(servers if lasted else started)
        if (code := worker.process.poll()) is not None:
            print(f"The worker ended by itself (exit code {code}), and is started again: see {worker.service.log}.")
            stop([worker.process])
            started[-1] = start(worker.service, again=True)
            _tell(started)
        time.sleep(0.5)


def down() -> None:
    """Stop what `rnnlm up` runs, and wait until it has ended.

    Raises:
        StoreError: If it does not end in time.
    """
    servers = _servers_or_none_starting()
    if servers is None:
        print("Nothing runs here.")
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(servers["pid"], signal.SIGTERM)
    end = time.monotonic() + DOWN_SECONDS
    while time.monotonic() < end:
        with only_one() as ended:
            if ended:
                _wait_for_leftovers()
                print("All is stopped.")
                return
        time.sleep(0.1)
    raise StoreError(
        f"process {servers['pid']} did not stop within {DOWN_SECONDS:.0f} s.", remedy=f"kill -9 {servers['pid']}"
    )


def _servers_or_none_starting() -> dict[str, Any] | None:
    """Return what `rnnlm up` runs; one that is just starting is waited for, because only then can it be stopped."""
    waits = False
    end = time.monotonic() + patience()
    while (servers := running_servers()) is None and is_starting() and time.monotonic() < end:
        if not waits:
            print("`rnnlm up` is just starting; it is stopped as soon as it has started.", flush=True)
        waits = True
        time.sleep(0.2)
    return servers


@contextlib.contextmanager
def first_start() -> Iterator[None]:
    """Start Prefect's server while no other one of the workplace starts: two would disturb each other's tables.

    A database that a killed server has left half made, without a row of the user's, is set aside.
    """
    with alone("prefect-server", waiting=lambda: None):
        database = Path(os.environ["PREFECT_HOME"]) / "prefect.db"
        if is_half_made(database, PREFECT):
            set_aside(database)
        yield


def prefect_server(port: int) -> Service:
    """Return Prefect's server behind the door of this workplace.

    Args:
        port: Its port on this machine.
    """
    host = f"{HOST}:{port}"
    # As `prefect server start` would, but with the door between uvicorn and Prefect.
    command = ["uvicorn", "--log-level", "warning", "--factory", "rnnlm.stack.door:prefect_app"]
    return Service(
        name="Prefect",
        address=f"http://{host}",
        works=lambda: answers(f"http://{host}/api/health"),
        command=[*command, "--host", HOST, "--port", str(port)],
        environment={
            HOSTS: _hosts(host),
            # The pages ask the API at this address; by default they would take the usual port.
            "PREFECT_UI_API_URL": os.environ.get("PREFECT_UI_API_URL") or f"http://{host}/api",
            # By default any page in the user's browser may read what the API answers.
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{host}",
        },
    )


def _hosts(here: str) -> str:
    """Return the hosts that a server answers: its own, and the names of a proxy before it, which the user has set."""
    return ",".join(filter(None, (here, os.environ.get(HOSTS))))


def _mlflow_server(port: int) -> Service:
    artifacts, host = home() / "mlflow" / "artifacts", f"{HOST}:{port}"
    # The door is the app `rnnlm`; pyproject.toml names it to MLflow.
    command = ["mlflow", "server", "--app-name", "rnnlm", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", os.environ["MLFLOW_TRACKING_URI"]]
    return Service(
        name="MLflow",
        address=f"http://{host}",
        works=lambda: answers(f"http://{host}/health"),
        command=[*command, "--artifacts-destination", artifacts.as_uri()],
        # Its seven job processes (130 MB each) serve what is not used here.
        environment={HOSTS: _hosts(host), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        # MLflow has a list of its own.
        | {"MLFLOW_SERVER_ALLOWED_HOSTS": _hosts(host)},
    )


def _worker(prefect: str) -> Service:
    """The worker runs one flow at a time, because two would share the cores."""
    since = datetime.now(UTC)

    def works() -> bool:
        # One of an earlier `rnnlm up` has the same name, and may count as online for a while.
        found = ask(prefect, f"/work_pools/{POOL}/workers/filter", {})
        return any(
            worker["name"] == WORKER and datetime.fromisoformat(worker["last_heartbeat_time"]) > since
            for worker in found
        )

    return Service(
        name="Worker",
        address="",
        works=works,
        command=["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", WORKER, "--limit", "1"],
        # Prefect's worker asks for runs every ten seconds by default. A person who has pressed Run waits for that.
        environment={"PREFECT_API_URL": f"{prefect}/api"} | {QUERY_SECONDS: os.environ.get(QUERY_SECONDS, "2")},
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


def _tell_of_the_first() -> None:
    servers = running_servers()
    if servers is None:
        print("Another `rnnlm up` is just starting the servers of this folder.")
        return
    print(f"`rnnlm up` runs already (process {servers['pid']}).")
    print_links({"Prefect": servers["prefect"], "MLflow": servers["mlflow"]})


def _wait_for_leftovers() -> None:
    """Wait for the end of servers whose `rnnlm up` was killed; they notice it themselves.

    Raises:
        ConfigError: If they do not end.
    """
    end = time.monotonic() + LEFT_SECONDS
    while servers := running_servers():
        if time.monotonic() > end:
            groups = " ".join(f"-{group}" for group in servers["groups"])
            raise ConfigError(
                f"servers of an earlier `rnnlm up`, which was killed, still run at {servers['prefect']} "
                f"and {servers['mlflow']}.",
                remedy=f"Stop them with: kill -- {groups}",
            )
        time.sleep(0.2)


@contextlib.contextmanager
def _told(started: list[Started]) -> Iterator[None]:
    """Write down where the servers are, so that runs use them, for as long as they run."""
    _tell(started)
    try:
        yield
    finally:
        (home() / SERVERS).unlink(missing_ok=True)


def _tell(started: list[Started]) -> None:
    content: dict[str, Any] = {one.service.name.lower(): one.service.address for one in started if one.service.address}
    content |= {"pid": os.getpid(), "groups": [one.process.pid for one in started]}
    write_whole(home() / SERVERS, json.dumps(content))

"""`rnnlm status`: what `rnnlm up` runs. It loads nothing but a client of HTTP, and that only where something runs."""

import contextlib
from collections.abc import Iterator

from filelock import FileLock, Timeout

from rnnlm.environment import SERVERS, running_servers
from rnnlm.stack.api import POOL, ask, link
from rnnlm.store import home


def status() -> None:
    """Say what `rnnlm up` runs, and what waits or runs there."""
    servers = running_servers()
    if servers is None:
        starting = "`rnnlm up` is just starting." if is_starting() else "Nothing runs here; `rnnlm up` starts it."
        print(starting)
        return
    print_links({"Prefect": servers["prefect"], "MLflow": servers["mlflow"]})
    print(f"Process      {servers['pid']}")
    workers = ask(servers["prefect"], f"/work_pools/{POOL}/workers/filter", {})
    online = sum(worker["status"] == "ONLINE" for worker in workers)
    print(f"Workers      {online} online")
    print(f"Deployments  {', '.join(_deployments(servers['prefect'])) or 'none'}")
    for state in ("RUNNING", "PENDING", "SCHEDULED", "PAUSED"):
        found = ask(servers["prefect"], "/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": [state]}}}})
        for run in found:
            print(f"{state.capitalize():<12} {run['name']}, {servers['prefect']}/runs/flow-run/{run['id']}")


def _deployments(prefect: str) -> list[str]:
    flows = {flow["id"]: flow["name"] for flow in ask(prefect, "/flows/filter", {})}
    return sorted(f"{flows[one['flow_id']]}/{one['name']}" for one in ask(prefect, "/deployments/filter", {}))


def is_starting() -> bool:
    """Return whether a `rnnlm up` holds this folder, although its servers may not answer yet."""
    with only_one() as nobody_else:
        return not nobody_else


@contextlib.contextmanager
def only_one() -> Iterator[bool]:
    """Yield whether this is the only `rnnlm up` of the folder; the system frees the lock even after a kill."""
    home().mkdir(parents=True, exist_ok=True)
    lock = FileLock(home() / f"{SERVERS}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def print_links(servers: dict[str, str]) -> None:
    """Print addresses that a browser opens without a password."""
    for name, address in servers.items():
        print(f"{name:<8} {link(address)}")
    print("Each address works once, for one browser; `rnnlm status` prints new ones.")

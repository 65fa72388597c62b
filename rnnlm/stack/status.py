"""`rnnlm status`: what `rnnlm up` runs. It loads nothing but a client of HTTP, and that only where something runs."""

from rnnlm.environment import running_servers
from rnnlm.stack.api import POOL, ask, link


def status() -> None:
    """Say what `rnnlm up` runs, and what waits or runs there."""
    servers = running_servers()
    if servers is None:
        print("Nothing runs here; `rnnlm up` starts it.")
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


def print_links(servers: dict[str, str]) -> None:
    """Print addresses that a browser opens without a password."""
    for name, address in servers.items():
        print(f"{name:<8} {link(address)}")
    print("Each address works once, for one browser; `rnnlm status` prints new ones.")

"""What Prefect's server is asked over its API."""

import time
from typing import Any

from rnnlm.environment import authorization

POOL = "rnnlm"  # the work pool
WAITS = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds


def ask(prefect: str, path: str, content: Any = None, method: str = "POST") -> Any:
    """Ask Prefect's API, and return its answer.

    Over SQLite the server turns a request away (503) where others write at the same moment; it is asked again then.

    Args:
        prefect: The server's address.
        path: The path in the API, with a slash before it.
        content: What is sent along, as JSON, if it is not None.
        method: The method of HTTP.

    Raises:
        httpx.HTTPStatusError: If the server refuses.
        httpx.TransportError: If it does not answer.
    """
    # Imported here: `rnnlm status` starts sooner where nothing runs.
    import httpx

    for wait in (*WAITS, None):
        answer = httpx.request(
            method,
            f"{prefect}/api{path}",
            json=content,
            headers=authorization(),
            timeout=30.0,
            verify=prefect.startswith("https:"),  # certificates take longer to load than the answer takes to come
        )
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or wait is None:
            answer.raise_for_status()
            return answer.json() if answer.content else None
        time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def link(server: str) -> str:
    """Return an address that lets a browser into a server of `rnnlm up`, once."""
    import httpx

    answer = httpx.post(f"{server}/enter", headers=authorization(), timeout=30.0, verify=server.startswith("https:"))
    answer.raise_for_status()
    return f"{server}{answer.json()['path']}"

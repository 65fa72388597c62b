"""What Prefect's server is asked and told over its API."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from flows.environment import open_here

POOL = "rnnlm"  # the work pool
BUSY = 503
WAITS = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds


def ask(prefect: str, path: str, content: Any = None, method: str = "POST") -> Any:
    """Ask Prefect's API; gives what it answers.

    Over SQLite the server turns a request away (503) where others write at the same moment; it is asked again then.

    Args:
        prefect: The server's address.
        path: What is asked, with a slash before it.
        content: What is sent along, as JSON; none: nothing.
        method: The method of HTTP.

    Raises:
        HTTPError: If the server refuses.
    """
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(  # noqa: S310 - a server of ours
        f"{prefect}/api{path}", body, {"Content-Type": "application/json"}, method=method
    )
    for wait in (*WAITS, None):
        try:
            with open_here(request, timeout=30) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            if error.code != BUSY or wait is None:
                raise
            time.sleep(wait)
    raise AssertionError("the last attempt gives an answer or an error")

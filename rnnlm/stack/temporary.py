"""A Prefect server for the time of one command, where no other one is named."""

import atexit
import os
import sys
import time
from dataclasses import replace
from urllib.parse import urlsplit

import httpx

from rnnlm.environment import PATIENCE, patience
from rnnlm.errors import ConfigError, StoreError
from rnnlm.stack.ports import find_port
from rnnlm.stack.service import Started, start, stop, wait_for
from rnnlm.stack.up import first_start, prefect_server

PORT = 8_200  # the first of the ports that are tried
SECONDS_SILENT = 5.0  # that a server may take before anything is said
REFUSED = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)

# Prefect's own names for a server without pages and schedules.
EPHEMERAL = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


def ensure_server() -> None:
    """Wait for the Prefect server that PREFECT_API_URL names; without one, start a server that ends with this process.

    It must be called before Prefect is imported, because Prefect reads the address then.

    Raises:
        ConfigError: If the server refuses the login.
        StoreError: If it does not answer in time.
    """
    if "prefect" in sys.modules:
        # Called from Python, in a process that has chosen its server.
        return
    if api := os.environ.get("PREFECT_API_URL"):
        _wait_for_named(api)
        return
    # Commands that start at the same moment look for a free port from different ones on.
    server = prefect_server(find_port(PORT + os.getpid() % 1_000, None, ""))
    server = replace(server, environment=server.environment | EPHEMERAL, of=f"-{os.getpid()}")
    with first_start():
        started = start(server)
        # Prefect registers its last words later, so they come before this.
        atexit.register(_end, started)
        wait_for([started])
    os.environ["PREFECT_API_URL"] = f"{server.address}/api"


def _end(server: Started) -> None:
    stop([server.process])
    server.service.log.unlink(missing_ok=True)


def _wait_for_named(api: str) -> None:
    if urlsplit(api).scheme not in ("http", "https") or not urlsplit(api).hostname or any(map(str.isspace, api)):
        raise ConfigError(
            f"{api!r} is not an address", where="PREFECT_API_URL", remedy="For example http://127.0.0.1:4200/api."
        )
    begin, said = time.monotonic(), False
    user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    where = urlsplit(api)._replace(netloc=urlsplit(api).netloc.rpartition("@")[2]).geturl()
    while True:
        try:
            answer = httpx.get(f"{api}/admin/version", auth=(user, password) if user else None, timeout=10.0)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = str(error) or type(error).__name__
        else:
            if answer.status_code in REFUSED and "PREFECT_API_KEY" not in os.environ:
                raise ConfigError(
                    f"the server refuses the login ({answer.status_code})",
                    where=f"PREFECT_API_URL={where}",
                    remedy="Set PREFECT_API_AUTH_STRING to the server's USER:PASSWORD.",
                )
            if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                return
            problem = f"it answers {answer.status_code}"
        waited = time.monotonic() - begin
        if waited > patience():
            raise StoreError(
                f"Prefect's server does not answer: {problem}",
                where=f"PREFECT_API_URL={where}",
                remedy=f"Check the address and that the server runs. It was waited for {patience()} s ({PATIENCE}).",
            )
        if waited > SECONDS_SILENT and not said:
            print(
                f"Waiting for Prefect's server at {where}: {problem}. Gives up after {patience()} s; Ctrl-C ends.",
                file=sys.stderr,
                flush=True,
            )
            said = True
        time.sleep(0.5)

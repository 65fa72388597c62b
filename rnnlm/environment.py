"""The environment that Prefect, MLflow and TensorFlow find when they are imported.

Everything a run keeps is under one folder, `$RNNLM_HOME`. `prepare` must come before the first of their imports:
they read their settings once. What the user has set is left as it is.
"""

import base64
import logging
import math
import os
from pathlib import Path
from typing import Any

from rnnlm.errors import ConfigError
from rnnlm.login import login
from rnnlm.model.backend import TENSORFLOW
from rnnlm.store import home, read_json, sqlite_address

SERVERS = "servers.json"  # beside the data: the addresses of the servers that `rnnlm up` runs
HOSTS = "RNNLM_HOSTS"  # the values of `Host` that a server answers, separated by commas; the first is the browser's
PATIENCE = "RNNLM_PATIENCE"  # seconds that a server is waited for, at the start or while it is away
LOOPBACK = ("127.0.0.1", "localhost", "::1")

# The variables by which a user names another database for Prefect.
PREFECT_DATABASES = (
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "PREFECT_SERVER_DATABASE_DRIVER",
)


def prepare() -> None:
    """Set the defaults of this process and of those that it starts; an empty variable counts as none."""
    if not os.environ.get("RNNLM_HOME"):
        os.environ.pop("RNNLM_HOME", None)
    folder = home()
    prefect = folder / "prefect"
    mlflow = folder / "mlflow"
    # SQLite makes its file, but not the folder around it.
    mlflow.mkdir(parents=True, exist_ok=True)
    # Prefect's database has the parameters of runs as they were typed, with what is secret in them.
    prefect.mkdir(mode=0o700, exist_ok=True)
    if prefect.stat().st_uid == os.getuid() and prefect.stat().st_mode & 0o077:  # earlier versions let others in
        prefect.chmod(0o700)
    # A run may change its working directory (a worker does), so nothing may stay relative.
    os.environ["RNNLM_HOME"] = str(folder)
    defaults = {
        "PREFECT_HOME": str(prefect),
        "PREFECT_LOCAL_STORAGE_PATH": str(prefect / "storage"),
        # The server that Prefect starts where a flow is called without one, as from a notebook.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(patience()),
        # Prefect asks again after 2, 4, 8 … seconds: so often that all waits together are the patience.
        "PREFECT_CLIENT_MAX_RETRIES": str(max(1, math.ceil(math.log2(patience() / 2 + 1)))),
        # The library logs to `rnnlm` and knows nothing of Prefect: this brings its lines into the run's log.
        "PREFECT_LOGGING_EXTRA_LOGGERS": "rnnlm",
        # ... and out of a run, as in a notebook, Prefect need not warn that it has no place for them.
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "MLFLOW_TRACKING_URI": sqlite_address(mlflow / "mlflow.db"),
        # It would record the lock file of whatever folder a run was started in.
        "MLFLOW_UV_AUTO_DETECT": "false",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # MLflow's server over S3 would send this process to the store itself, by a name that only the server may know;
        # it waits for minutes then.
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
        # Nothing is reported to anyone. Prefect's server and MLflow do not honour DO_NOT_TRACK in all places.
        "DO_NOT_TRACK": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # To read a pickle is to run the code in it. The models of rnnlm contain no pickles.
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    for name, value in (defaults | TENSORFLOW).items():
        os.environ[name] = os.environ.get(name) or value
    if {"?", "%"} & set(os.environ["PREFECT_HOME"]) and not any(map(os.environ.get, PREFECT_DATABASES)):
        # Prefect would put the folder's name into an address as it is.
        database = Path(os.environ["PREFECT_HOME"]) / "prefect.db"
        os.environ[PREFECT_DATABASES[0]] = sqlite_address(database, "aiosqlite")
    _bypass_proxies()
    logger = logging.getLogger("rnnlm")
    if logger.level == logging.NOTSET:
        # Prefect shows only warnings of loggers that are not its own.
        logger.setLevel(logging.INFO)
    _join_servers()


def _join_servers() -> None:
    """Choose Prefect's server: the one that the user has named, that of `rnnlm up`, or one that is yet to start."""
    named, servers = os.environ.get("PREFECT_API_URL"), running_servers()
    ours = f"{servers['prefect']}/api" if servers else None
    if named and named != ours:
        return
    if ours:
        os.environ["PREFECT_API_URL"] = ours
    # Whatever of Prefect starts without a server of the user's own asks for this login, and brings it.
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"):
        os.environ[name] = login()


def patience() -> int:
    """Return the seconds that a server is waited for: $RNNLM_PATIENCE, or five minutes.

    Raises:
        ConfigError: If the variable is not a number of seconds.
    """
    given = os.environ.get(PATIENCE) or "300"
    if not given.isdecimal() or not 1 <= int(given) <= 86_400:
        raise ConfigError(f"{given!r} is not a number of seconds", where=PATIENCE, remedy="Use 1 to 86400.")
    return int(given)


def _bypass_proxies() -> None:
    """Let no client ask a server of this machine through a proxy, which is for the world outside."""
    # Some clients read one of the two names, some the other; where both are set, each keeps what it says.
    given = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    for name, value in given.items():
        known = [one.strip() for one in (value or given["no_proxy"] or given["NO_PROXY"] or "").split(",")]
        # A star means all servers, but only where it is alone.
        names = known if known == ["*"] else dict.fromkeys([*known, *LOOPBACK])
        os.environ[name] = ",".join(filter(None, names))


def running_servers() -> dict[str, Any] | None:
    """Return the process (`pid`) and the addresses (`prefect`, `mlflow`) of a running `rnnlm up`, if there is one."""
    try:
        servers = read_json(home() / SERVERS)
        addresses = [servers["prefect"], servers["mlflow"]]
    except (OSError, ValueError, TypeError, KeyError):
        # No server runs, or the file is still being written, or it is not ours.
        return None
    if not all(isinstance(one, str) and one.startswith(("http://", "https://")) for one in addresses):
        return None
    return servers if answers(f"{servers['prefect']}/api/health") else None


def pages() -> dict[str, str]:
    """Return the addresses of Prefect's pages (`prefect`) and of MLflow's (`mlflow`), as far as they are known.

    They are those of `rnnlm up`, or of servers elsewhere: PREFECT_UI_URL and RNNLM_MLFLOW_UI_URL name them where a
    browser reaches them by other addresses than this process (PREFECT_API_URL, MLFLOW_TRACKING_URI).
    """
    if servers := running_servers():
        return {name: servers[name] for name in ("prefect", "mlflow")}
    store = os.environ.get("MLFLOW_TRACKING_URI", "")
    known = {
        "prefect": os.environ.get("PREFECT_UI_URL") or os.environ.get("PREFECT_API_URL", "").removesuffix("/api"),
        "mlflow": os.environ.get("RNNLM_MLFLOW_UI_URL") or (store if store.startswith("http") else ""),
    }
    return {name: address.rstrip("/") for name, address in known.items() if address}


def answers(url: str) -> bool:
    """Whether a server answers at this address, and takes the login of this workplace."""
    # Imported here: most commands find no address to ask.
    import httpx

    try:
        # Certificates take longer to load than the answer takes to come.
        answer = httpx.get(url, headers=authorization(), timeout=2.0, verify=url.startswith("https:"))
        return answer.status_code == httpx.codes.OK
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


def authorization() -> dict[str, str]:
    """Return the header that brings the login of this workplace."""
    return {"Authorization": f"Basic {base64.b64encode(login().encode()).decode()}"}

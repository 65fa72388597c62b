"""The environment that Prefect, MLflow and TensorFlow find when they are imported.

Everything a run keeps lies under one folder, `$RNNLM_HOME`. `prepare` must come before the first of their imports:
they read their settings once. What the user has set is left as it is.
"""

import json
import logging
import os
import urllib.error
import urllib.request
from typing import Any

from rnnlm.store import home

SERVERS = "servers.json"  # beside the data: the addresses of the servers that `rnnlm up` runs


def prepare() -> None:
    """Set the defaults of this process and of those that it starts; an empty variable counts as none."""
    if not os.environ.get("RNNLM_HOME"):
        os.environ.pop("RNNLM_HOME", None)
    folder = home()
    prefect = folder / "prefect"
    mlflow = folder / "mlflow"
    # SQLite makes its file, but not the folder that it lies in.
    mlflow.mkdir(parents=True, exist_ok=True)
    # A run may change its working directory (a worker does), so nothing may stay relative.
    os.environ["RNNLM_HOME"] = str(folder)
    defaults = {
        "PREFECT_HOME": str(prefect),
        "PREFECT_LOCAL_STORAGE_PATH": str(prefect / "storage"),
        # The server that a run starts for itself takes 15 s on two busy cores; Prefect gives up after 20.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # The library logs to `rnnlm` and knows nothing of Prefect: this brings its lines into the run's log.
        "PREFECT_LOGGING_EXTRA_LOGGERS": "rnnlm",
        # ... and out of a run, as in a notebook, Prefect need not warn that it has no place for them.
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "MLFLOW_TRACKING_URI": f"sqlite:///{mlflow / 'mlflow.db'}",
        # It would record the lock file of whatever folder a run was started in.
        "MLFLOW_UV_AUTO_DETECT": "false",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        # MLflow's server over S3 would send this process to the store itself, by a name that only the server may know;
        # it waits for minutes then.
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
        # Keras would otherwise follow a file in the user's home folder.
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # TensorFlow takes this library by itself only where there is AVX-512; with AVX2 it trains a fifth faster too.
        "TF_ENABLE_ONEDNN_OPTS": "1",
        # Nothing is reported to anyone. Prefect's server and MLflow do not honour DO_NOT_TRACK in all places.
        "DO_NOT_TRACK": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    for name, value in defaults.items():
        os.environ[name] = os.environ.get(name) or value
    logger = logging.getLogger("rnnlm")
    if logger.level == logging.NOTSET:
        # Prefect shows only warnings of loggers that are not its own.
        logger.setLevel(logging.INFO)
    if not os.environ.get("PREFECT_API_URL") and (servers := running_servers()):
        os.environ["PREFECT_API_URL"] = f"{servers['prefect']}/api"


def running_servers() -> dict[str, Any] | None:
    """Give the process (`pid`) and the addresses (`prefect`, `mlflow`) of a running `rnnlm up`, if there is one."""
    try:
        servers = json.loads((home() / SERVERS).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        # Not running, or just about to write the file.
        return None
    return servers if answers(f"{servers['prefect']}/api/health") else None


def pages() -> dict[str, str]:
    """Give the addresses of Prefect's pages (`prefect`) and of MLflow's (`mlflow`), as far as they are known.

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
    """Tell whether a server answers at this address."""
    try:
        with open_here(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def open_here(request: str | urllib.request.Request, timeout: float) -> Any:
    """Ask a server of this machine; a proxy that the environment names is for the world outside.

    Args:
        request: The address, or a whole request.
        timeout: Seconds.
    """
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout)

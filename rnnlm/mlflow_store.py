"""MLflow's store: its database is made whole or not at all, and its errors become ours."""

import logging
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from rnnlm.errors import FullDiskError, StoreError
from rnnlm.half_made import MLFLOW, is_half_made, set_aside
from rnnlm.process import alone
from rnnlm.store import FULL, home, sqlite_address

logger = logging.getLogger("rnnlm.store")

# MLflow writes the traceback of each error of its database to the log, and then raises the error.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


_whole: set[Path | None] = set()  # databases that this process has looked at


def make_store() -> None:
    """Make MLflow's database if it is a SQLite file that does not exist yet.

    MLflow would make its tables in the file itself, one after the other: a process that is killed meanwhile leaves a
    file that no later one can use, and two processes disturb each other. Here the file gets its name when it is whole.
    One that MLflow itself has left half made, without a row of the user's, is set aside.

    Raises:
        StoreError: If it cannot be made.
    """
    file = _sqlite_file(mlflow.get_tracking_uri())
    if file is None or (_is_there(file) and (file in _whole or not is_half_made(file, MLFLOW))):
        _whole.add(file)
        return

    def waiting() -> None:
        logger.info("Another run makes MLflow's database; this one waits for it.")

    with _errors_for_people(), alone("mlflow-database", waiting):
        if _is_there(file) and is_half_made(file, MLFLOW):
            set_aside(file)
        if not _is_there(file):
            _make(file)


def has_store() -> bool:
    """Return whether there may be something in MLflow's store: it is a server, or a file that exists."""
    file = _sqlite_file(mlflow.get_tracking_uri())
    return file is None or _is_there(file)


def _make(file: Path) -> None:
    # Slow to import, and only needed once in a workplace.
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    file.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{file.name}-"
    for left in file.parent.iterdir():
        if left.name.startswith(prefix):
            left.unlink()  # of a process that was killed
    new = file.with_name(prefix + uuid.uuid4().hex)
    try:
        store = SqlAlchemyStore(sqlite_address(new), (home() / "mlflow" / "artifacts").as_uri())
        store.engine.dispose()
        new.rename(file)
    finally:
        new.unlink(missing_ok=True)


def _is_there(file: Path) -> bool:
    # SQLite makes an empty file before it writes anything.
    return file.is_file() and file.stat().st_size > 0


def _sqlite_file(address: str) -> Path | None:
    """Return the file of a SQLite database, or None if it is another kind of store, or in memory."""
    if not address.startswith("sqlite"):
        return None
    import sqlalchemy

    url = sqlalchemy.make_url(address)
    if not url.database or url.database == ":memory:" or "uri" in url.query:
        return None
    return Path(url.database)


def check_store() -> None:
    """Ask whether MLflow's store answers, for half a minute at most; MLflow itself would go on for minutes.

    Raises:
        StoreError: If it does not.
    """
    address = mlflow.get_tracking_uri()
    scheme = urlsplit(address).scheme.split("+")[0]
    with answering():
        if scheme in ("http", "https"):
            # Almost any answer will do: a server that refuses says why when it is asked for something.
            http_request(get_default_host_creds(address), "/health", "GET", max_retries=2, backoff_factor=1, timeout=5)
        elif scheme in ("sqlite", "postgresql", "mysql", "mssql"):
            _connect(address, scheme)


def _connect(address: str, scheme: str) -> None:
    # They come with MLflow's own SQL stores, and are slow to import for those who have a server.
    import sqlalchemy
    from sqlalchemy.pool import NullPool

    waiting = {"connect_timeout": 10} if scheme in ("postgresql", "mysql") else {}
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(address), poolclass=NullPool, connect_args=waiting)
    sqlalchemy.inspect(engine).get_table_names()


@contextmanager
def answering() -> Iterator[None]:
    """Turn the errors of MLflow's store into one that says which store it was and what to do.

    Raises:
        StoreError: In place of any error of MLflow's and of its database's; passwords in addresses are left out.
    """
    make_store()
    with _errors_for_people():
        yield


@contextmanager
def _errors_for_people() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not _of_the_store(error):
            raise
        raise _explained(error) from error


def _of_the_store(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    # Whoever has loaded it may have raised it; those who have a server have not.
    sqlalchemy = sys.modules.get("sqlalchemy.exc")
    return isinstance(error, MlflowException) or (
        sqlalchemy is not None and isinstance(error, sqlalchemy.SQLAlchemyError)
    )


def _explained(error: Exception) -> StoreError:
    where = without_password(mlflow.get_tracking_uri())
    said = without_password(str(getattr(error, "orig", None) or error))
    if isinstance(error, OSError) or "database or disk is full" in said:
        return FullDiskError(str(getattr(error, "filename", None) or where))
    file = _sqlite_file(mlflow.get_tracking_uri())
    if file is not None and re.search("table .* already exists", said):
        return StoreError(
            f"MLflow's database was left half made: {said}",
            where=str(file),
            remedy="Move the file away, and run the same command again: a new one is made, with new runs in it.",
        )
    return StoreError(
        f"MLflow does not do as asked: {said}",
        where=where,
        remedy="Check MLFLOW_TRACKING_URI and that the server runs; finished steps are kept, run it again.",
    )


def pages(search: Any, **arguments: Any) -> Iterator[Any]:
    """Yield all that a search of MLflow's client finds, page by page.

    Args:
        search: The client's method.
        arguments: Its arguments.
    """
    token = None
    while True:
        page = search(page_token=token, **arguments)
        yield from page
        token = page.token
        if not token:
            return


def without_password(text: str) -> str:
    """Return a text without the passwords of the addresses in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)

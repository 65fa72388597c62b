"""SQLite databases whose tables were being made when the process was killed.

MLflow and Prefect make theirs in dozens of migrations, one after the other. The table `alembic_version` says how far
they came. Neither program can use a file that stops in the middle: it fails at what is there already.
"""

import importlib.util
import logging
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger("rnnlm.store")

_REVISION = re.compile(r'^revision(?:: str)? = "(?P<this>\w+)"', re.MULTILINE)
_BEFORE = re.compile(r'^down_revision(?:: [^=]+)? = "(?P<before>\w+)"', re.MULTILINE)


@dataclass(frozen=True)
class Maker:
    """A program that makes databases.

    Attributes:
        package: Its package, which is found but not loaded: that takes seconds.
        migrations: The folder of its migrations in the package.
        own: The rows that it writes itself, as a condition of SQL, by table. Somebody would miss any other row.
    """

    package: str
    migrations: str
    own: dict[str, str]


MLFLOW = Maker(
    "mlflow",
    "store/db_migrations/versions",
    {"alembic_version": "true", "experiments": "name = 'Default'", "workspaces": "name = 'default'"},
)
PREFECT = Maker("prefect", "server/database/_migrations/versions/sqlite", {"alembic_version": "true"})


def is_half_made(file: Path, maker: Maker) -> bool:
    """Return whether a database is half made and has no row that somebody would miss.

    One that has such a row was whole once: an earlier version of the program may have made it, and the program knows
    how to go on with that.

    Args:
        file: The database.
        maker: The program that made it.
    """
    if not file.is_file():
        return False
    try:
        tables = [str(name) for (name,) in _select(file, "select name from sqlite_master where type = 'table'")]
        for table in tables:
            quoted = table.replace('"', '""')  # a name cannot be a parameter
            if _select(file, f'select 1 from "{quoted}" where not ({maker.own.get(table, "false")}) limit 1'):  # noqa: S608
                return False
        last = _last_migration(maker)
        return bool(last) and (last,) not in _select(file, "select version_num from alembic_version")
    except sqlite3.Error:  # the program that uses it says what is wrong with it
        return False


def set_aside(file: Path) -> None:
    """Rename a database, with what SQLite keeps beside it, so that a new one can be made."""
    aside = file.with_name(f"damaged-{file.name}")
    # The database comes last: a new one must never find what belongs to the old one.
    for ending in ("-wal", "-shm", "-journal", ""):
        part = file.with_name(file.name + ending)
        if part.exists():
            part.replace(aside.with_name(aside.name + ending))
    logger.warning(
        "%s was left half made, without a row of yours. It is now %s, and a new one is made.", file, aside.name
    )


def _last_migration(maker: Maker) -> str:
    """Return the name of the migration that no other one builds on; nothing if it is not the only one."""
    found = importlib.util.find_spec(maker.package)
    if found is None or found.origin is None:
        return ""
    folder = Path(found.origin).parent / maker.migrations
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    names = {match["this"] for text in texts for match in _REVISION.finditer(text)}
    last = names - {match["before"] for text in texts for match in _BEFORE.finditer(text)}
    return last.pop() if len(last) == 1 else ""


def _select(file: Path, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query, or none if the table is not there.

    The file is opened to be written: SQLite then undoes what a killed process had begun.
    """
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True)) as database:
        try:
            return database.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []

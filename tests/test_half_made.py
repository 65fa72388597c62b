"""Databases of other programs that were being made when the process was killed."""

import importlib.util
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from rnnlm.half_made import MLFLOW, PREFECT, Maker, is_half_made, set_aside


def head(maker: Maker) -> str:
    """Return the last migration as Alembic itself finds it."""
    found = importlib.util.find_spec(maker.package)
    assert found is not None
    assert found.origin is not None
    versions = Path(found.origin).parent / maker.migrations
    revision = ScriptDirectory(str(versions.parent), version_locations=[str(versions)]).get_current_head()
    assert revision is not None
    return revision


def database(file: Path, version: str | None, rows: str = "") -> Path:
    with closing(sqlite3.connect(file)) as made, made:
        if version is not None:
            made.execute("CREATE TABLE alembic_version (version_num TEXT)")
            made.execute("INSERT INTO alembic_version VALUES (?)", (version,))
        if rows:
            made.execute(f'CREATE TABLE "{rows}" (name TEXT)')
            made.execute(f"INSERT INTO \"{rows}\" VALUES ('mine')")
    return file


@pytest.mark.parametrize("maker", [MLFLOW, PREFECT], ids=lambda maker: maker.package)
def test_the_last_migration_says_whether_a_database_is_whole(maker: Maker, tmp_path: Path) -> None:
    assert not is_half_made(tmp_path / "none.db", maker)
    assert is_half_made(database(tmp_path / "begun.db", None), maker)
    assert is_half_made(database(tmp_path / "middle.db", "0123456789ab"), maker)
    assert not is_half_made(database(tmp_path / "whole.db", head(maker)), maker)


@pytest.mark.parametrize("maker", [MLFLOW, PREFECT], ids=lambda maker: maker.package)
def test_a_database_with_something_in_it_is_left_to_its_program(maker: Maker, tmp_path: Path) -> None:
    for table in ("runs", "trace_info", "flow_run", "work_pool", "any of theirs"):
        assert not is_half_made(database(tmp_path / f"{table}.db", "0123456789ab", table), maker)
    assert not is_half_made(database(tmp_path / "named.db", "0123456789ab", "experiments"), MLFLOW)


def test_a_file_that_is_no_database_is_left_to_its_program(tmp_path: Path) -> None:
    (tmp_path / "noise.db").write_bytes(b"noise" * 1_000)
    assert not is_half_made(tmp_path / "noise.db", MLFLOW)


def test_what_sqlite_keeps_beside_a_database_goes_with_it(tmp_path: Path) -> None:
    file = database(tmp_path / "begun.db", None)
    (tmp_path / "begun.db-wal").write_bytes(b"w")
    set_aside(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged-begun.db", "damaged-begun.db-wal"]

"""MLflow's database is made whole or not at all, by one process; what goes wrong with it is one error for people."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow.store.tracking import sqlalchemy_store

from rnnlm.errors import FullDiskError, StoreError
from rnnlm.mlflow_store import answering, check_store, make_store
from rnnlm.store import sqlite_address

USE = """
from rnnlm.tracking import mlflow as tracking
tracking.finish(tracking.flow_run("tiny", "key", "name", {}), "FINISHED")
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the database that a new workplace has not yet."""
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    before = mlflow.get_tracking_uri()
    file = tmp_path / "mlflow" / "mlflow.db"
    mlflow.set_tracking_uri(sqlite_address(file))
    yield file
    mlflow.set_tracking_uri(before)


def started(file: Path, script: str = USE) -> subprocess.Popen[str]:
    variables = os.environ | {"RNNLM_HOME": str(file.parents[1]), "MLFLOW_TRACKING_URI": sqlite_address(file)}
    return subprocess.Popen([sys.executable, "-c", script], env=variables, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_in_a_new_workplace(file: Path) -> None:
    both = [started(file), started(file)]
    messages = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], messages
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    assert {run.info.status for run in client.search_runs([experiment.experiment_id])} == {"FINISHED"}
    assert [one.name for one in file.parent.glob(".*")] == []


@pytest.mark.parametrize("until", [2, 20, 60])
def test_a_making_that_fails_leaves_nothing_in_the_way(file: Path, monkeypatch: pytest.MonkeyPatch, until: int) -> None:
    """After any number of changes to the schema."""
    import sqlite3

    import sqlalchemy

    changes = 0

    def fail(_: object, __: object, statement: str, *___: object) -> None:
        nonlocal changes
        changes += statement.lstrip().startswith(("CREATE", "ALTER", "DROP"))
        if changes == until:
            raise sqlite3.OperationalError("database or disk is full")

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", fail)
    try:
        with pytest.raises(FullDiskError):
            make_store()
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "before_cursor_execute", fail)
    assert not file.exists()
    assert list(file.parent.iterdir()) == []
    make_store()
    check_store()


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_store_that_the_next_one_uses(tmp_path: Path) -> None:
    make = "import time; from rnnlm import mlflow_store; print(flush=True); mlflow_store.make_store(); time.sleep(60)"
    for n in range(12):
        file = tmp_path / str(n) / "mlflow" / "mlflow.db"
        process = started(file, f"import sys; sys.stdout = sys.stderr; {make}")
        assert process.stderr is not None
        process.stderr.readline()
        time.sleep(0.3 * n)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        again = started(file)
        assert again.communicate(timeout=120)[1] is not None
        assert again.returncode == 0
        assert [one.name for one in file.parent.glob(".*")] == []


def test_what_a_killed_process_left_is_cleared_away(file: Path) -> None:
    file.parent.mkdir()
    for name in (".mlflow.db-0123", ".mlflow.db-0123-journal", "mlflow.db"):
        (file.parent / name).touch()  # SQLite itself begins with an empty file
    make_store()
    assert [one.name for one in file.parent.iterdir()] == ["mlflow.db"]
    check_store()


def test_a_database_that_exists_is_left_as_it_is(mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sqlalchemy_store, "SqlAlchemyStore")
    make_store()
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "http://127.0.0.1:1")
    make_store()


def half_made(file: Path, with_a_row: bool) -> None:
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE evaluation_datasets (name TEXT)")
        if with_a_row:
            database.execute("INSERT INTO evaluation_datasets VALUES ('mine')")


def test_a_database_that_was_left_half_made_is_replaced(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    half_made(file, with_a_row=False)
    with answering():
        mlflow.MlflowClient().search_experiments()
    assert sorted(one.name for one in file.parent.iterdir()) == ["damaged-mlflow.db", "mlflow.db"]
    assert "was left half made, without a row of yours" in caplog.text


def test_one_with_something_in_it_is_named_and_stays(file: Path) -> None:
    half_made(file, with_a_row=True)
    with pytest.raises(StoreError, match=r"left half made.*already exists") as caught, answering():
        mlflow.MlflowClient().search_experiments()
    assert caught.value.where == str(file)
    assert [one.name for one in file.parent.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("until", [2, 60, 150])
def test_what_mlflow_itself_has_left_half_made_is_replaced(file: Path, until: int) -> None:
    """After any number of changes to the schema, in a process without our care."""
    file.parent.mkdir()
    script = f"""
import os, signal, sqlalchemy
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
changes = 0
def die(_, __, statement, *___):
    global changes
    changes += statement.lstrip().startswith(("CREATE", "ALTER", "DROP"))
    if changes == {until}:
        os.kill(os.getpid(), signal.SIGKILL)
sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", die)
SqlAlchemyStore({sqlite_address(file)!r}, "artifacts")
"""
    killed = started(file, script)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    make_store()
    check_store()
    with answering():
        assert len(mlflow.MlflowClient().search_experiments()) == 1


@pytest.mark.parametrize(
    "name", ["a b", "a%20b", "%41", "100%", "what?x=1", "#x", "电影", "a:b@c", "[x]", "$HOME", "a\nb"]
)
def test_a_home_may_have_any_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, mlflow_store: str
) -> None:
    """The database and the artifacts are inside it, and no other folder appears."""
    from rnnlm.tracking import mlflow as tracking

    home = tmp_path / "homes" / name
    (home / "mlflow").mkdir(parents=True)
    file = home / "mlflow" / "mlflow.db"
    (tmp_path / "mlflow" / "mlflow.db").rename(file)
    monkeypatch.setenv("RNNLM_HOME", str(home))
    mlflow.set_tracking_uri(sqlite_address(file))
    run_id = tracking.flow_run("tiny", "key", "name", {})
    (tmp_path / "report.html").write_text("It helps.")
    client = mlflow.MlflowClient()
    client.log_artifact(run_id, str(tmp_path / "report.html"), "report")
    assert Path(client.download_artifacts(run_id, "report/report.html", str(tmp_path))).read_text() == "It helps."
    assert (home / "mlflow" / "artifacts" / "tiny" / run_id / "artifacts" / "report" / "report.html").is_file()
    assert [one.name for one in (tmp_path / "homes").iterdir()] == [name]


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/here/weights"), "/here/weights"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/here/weights"), "/here/weights"),
        (mlflow.MlflowException("(sqlite3.OperationalError) database or disk is full\n[SQL: …]"), "sqlite"),
    ],
)
def test_a_full_disk_is_called_so(mlflow_store: str, error: Exception, where: str) -> None:
    with pytest.raises(FullDiskError, match=r"the disk is full. Free some space") as caught, answering():
        raise error
    assert caught.value.where.startswith(where)


def test_other_errors_are_not_the_stores(mlflow_store: str) -> None:
    with pytest.raises(FileNotFoundError), answering():
        Path("nothing").read_text()

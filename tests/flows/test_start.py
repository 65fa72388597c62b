"""A command loads what it needs, and no more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows import cli, use

HEAVY = {"tensorflow", "keras", "prefect", "mlflow", "sqlalchemy", "pyarrow", "sklearn", "scipy", "matplotlib", "numpy"}
HEAVY |= {"httpx", "starlette"}
# Runs a command, and prints which modules were loaded at its end.
LOADED = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from flows.cli import main
main()
"""
START = "from flows.cli import main; main()"


def loaded(*arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("arguments", "also"),
    [
        (["--help"], {"pydantic", "yaml"}),
        (["list"], {"yaml"}),
        (["status"], {"yaml"}),
        (["down"], {"yaml"}),
        (["show", "demo"], set()),
        (["run", "--help"], {"yaml"}),
        (["complete", "--help"], set()),
    ],
)
def test_no_command_loads_what_it_does_not_use(
    arguments: list[str], also: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    (tmp_path / "login").write_text("rnnlm:secret", encoding="ascii")  # made once in a workplace
    assert loaded(*arguments) & (HEAVY | also) == set()


def test_the_list_of_commands_says_what_each_one_says_of_itself() -> None:
    assert {one.__name__: one.__doc__ for one in use.COMMANDS} == cli.USE
    result = CliRunner().invoke(cli.app, ["--help"])
    own = ("run", "lr", "show", "list", "up", "down", "status", "look", "lineage")
    assert all(f" {name} " in result.stdout for name in (*cli.USE, *own))
    assert "NAME_OR_FILE" not in result.stdout

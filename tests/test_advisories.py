"""Known weaknesses of what we depend on: SECURITY.md says why each of them does not concern us, and this looks."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from rnnlm import environment

ROOT = Path(__file__).resolve().parents[1]
LOCKED = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
ROWS = re.findall(
    r"^\| (.*CVE.*?) \| ([\w-]+) \| ([\w. ]+) \| (.*) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE
)
# Each of these can run code that a file holds.
FORBIDDEN = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal", "torch", "skops"}
CALLS = {"load_model", "read_pickle", "unsafe_load", "eval", "exec"}


@pytest.mark.parametrize(("weakness", "package", "fixed"), [row[:3] for row in ROWS])
def test_the_locked_version_is_not_older_than_the_fix(weakness: str, package: str, fixed: str) -> None:
    assert package in LOCKED, weakness
    if fixed != "by a setting":
        assert Version(LOCKED[package]) >= Version(fixed), weakness


def test_the_tests_that_the_table_names_are_there() -> None:
    names = {name for row in ROWS for name in re.findall(r"`(test_\w+)`", row[3])}
    assert len(names) >= 4
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name for name in names if f"def {name}(" not in written} == set()


@pytest.mark.parametrize("file", sorted((ROOT / "rnnlm").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_that_a_file_holds_is_run(file: Path) -> None:
    # It passes arguments to a process of its own, through a pipe.
    forbidden = FORBIDDEN - ({"pickle"} if file == ROOT / "rnnlm" / "apart.py" else set())
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & forbidden, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in forbidden, node.lineno
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert called not in CALLS, node.lineno
            keywords = {one.arg: one.value for one in node.keywords}
            assert "allow_pickle" not in keywords or not ast.literal_eval(keywords["allow_pickle"]), node.lineno


def test_mlflow_unpickles_nothing_and_runs_no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION

    from rnnlm.stack.up import _mlflow_server

    environment.prepare()
    assert not MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get()
    server = _mlflow_server(5000)
    assert server.environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_no_deployment_pulls_code() -> None:
    deployments = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text(encoding="utf-8"))
    steps = [one.get("pull") for one in (deployments, *deployments["deployments"])]
    assert not [step for of_one in steps for step in of_one or [] if "git" in str(step)]

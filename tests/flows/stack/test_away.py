"""Prefect's server goes away in the middle of a run, for longer than the run waits."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnlm.stack.ports import find_port

SERVER = """
import sys
from rnnlm import environment
environment.prepare()
from rnnlm.stack.service import start, stop, wait_for
from rnnlm.stack.up import prefect_server
started = start(prefect_server(int(sys.argv[1])))
wait_for([started])
print("works", flush=True)
sys.stdin.read()
stop([started.process])
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_whose_server_goes_away_ends_in_one_error_and_goes_on_later(
    tmp_path: Path, write_experiment: Callable[[Path], None]
) -> None:
    write_experiment(tmp_path)
    port = find_port(18_200, None, "")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    own |= {"RNNLM_HOME": str(tmp_path / "work"), "RNNLM_PATIENCE": "6"}
    api = own | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}

    def server() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SERVER, str(port)]
        # It is patient with itself.
        mine = own | {"RNNLM_PATIENCE": "120"}
        process = subprocess.Popen(command, env=mine, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        return process

    def run(*changes: str) -> subprocess.Popen[str]:
        login = (tmp_path / "work" / "login").read_text(encoding="ascii").strip()
        command = [
            sys.executable,
            "-c",
            "from rnnlm.cli.app import main; main()",
            "run",
            "--log",
            "reviews.yaml",
            *changes,
        ]
        return subprocess.Popen(
            command,
            env=api | {"PREFECT_API_AUTH_STRING": login},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    first = server()
    # Long enough to be in the middle of it.
    longer = [f"--set={part}.language_model.epochs=400" for part in ("source", "target")]
    running, said = run(*longer), ""
    assert running.stdout is not None
    while "Pretrain: " not in said:
        line = running.stdout.readline()
        assert line, said
        said += line
    first.communicate()  # the end of its input ends it
    said += running.communicate(timeout=300)[0]
    assert running.returncode == 1, said
    assert "Error: Prefect's server does not answer any more" in said
    assert "Traceback" not in said
    second = server()
    try:
        again = run(*longer)
        later = again.communicate(timeout=300)[0]
        assert again.returncode == 0, later
        assert "Compare: done" in later
    finally:
        second.communicate()

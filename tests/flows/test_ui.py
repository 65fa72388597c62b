import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import environment, ui
from rnnlm import store
from rnnlm.errors import ConfigError, StoreError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return tmp_path


@contextlib.contextmanager
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((ui.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def unused() -> int:
    with listening() as port:
        return port


def small_server(name: str, port: int) -> ui.Server:
    """Give a server that starts at once and needs no data."""
    code = f"""
import http.server, os
# A child that outlives a plain kill of its parent.
if os.fork() == 0:
    import time
    time.sleep(600)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("{ui.HOST}", {port}), Answer).serve_forever()
"""
    file = store.home() / f"{name.lower()}_server.py"
    file.write_text(code, encoding="utf-8")
    return ui.Server(name, port, "/health", [file.stem], {"PYTHONPATH": str(file.parent)})


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_busy_usual_port_is_passed_over() -> None:
    with listening() as busy:
        found = ui.find_port(busy, None, "--prefect-port")
        assert busy < found < busy + 100
        assert ui.is_free(found)
        assert ui.find_port(found, None, "--mlflow-port", taken=found) > found


def test_a_busy_port_that_was_asked_for_is_named() -> None:
    with listening() as busy, pytest.raises(ConfigError, match=rf"--mlflow-port: port {busy} is busy"):
        ui.find_port(5000, busy, "--mlflow-port")
    free = unused()
    assert ui.find_port(5000, free, "--mlflow-port") == free
    with pytest.raises(ConfigError, match="is busy"):
        ui.find_port(5000, free, "--mlflow-port", taken=free)


def test_both_run_until_a_signal_and_leave_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = unused(), unused()
    monkeypatch.setattr(ui, "_prefect_server", lambda port: small_server("Prefect", port))
    monkeypatch.setattr(ui, "_mlflow_server", lambda port: small_server("MLflow", port))
    seen: list[dict[str, object] | None] = []

    def end() -> None:
        file = home / environment.SERVERS
        while not file.exists():
            time.sleep(0.05)
        seen.append(environment.running_servers())
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    ui.serve(*ports)
    thread.join(10)

    servers = seen[0]
    assert servers is not None
    assert servers["prefect"] == f"http://{ui.HOST}:{ports[0]}"
    assert servers["mlflow"] == f"http://{ui.HOST}:{ports[1]}"
    assert servers["pid"] == os.getpid()
    assert isinstance(servers["groups"], list)
    assert not any(group_exists(group) for group in servers["groups"])
    assert not (home / environment.SERVERS).exists()
    assert signal.getsignal(signal.SIGTERM) == before
    printed = capsys.readouterr().out
    assert f"Prefect  http://{ui.HOST}:{ports[0]}\nMLflow   http://{ui.HOST}:{ports[1]}\n" in printed


def test_a_server_that_does_not_start_is_named_and_the_other_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    well = small_server("Prefect", unused())
    broken = ui.Server("MLflow", unused(), "/health", ["no_such_module"], {})
    monkeypatch.setattr(ui, "_prefect_server", lambda port: well)
    monkeypatch.setattr(ui, "_mlflow_server", lambda port: broken)
    with pytest.raises(StoreError, match=r"MLflow server ended by itself \(exit code 1\).*no_such_module.*See .*log"):
        ui.serve()
    assert not environment.answers(well.address)


def test_a_second_start_says_where_the_first_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ui._only_one() as first:
        assert first
        ui.serve()
        assert "just starting" in capsys.readouterr().out
        server = small_server("Prefect", unused())
        with ui._running([server]) as processes:
            ui._wait_for([server], processes)
            content = {"prefect": server.address, "mlflow": "http://there", "pid": 77, "groups": [1]}
            (home / environment.SERVERS).write_text(json.dumps(content), encoding="utf-8")
            ui.serve()
    printed = capsys.readouterr().out
    assert "runs already (process 77)" in printed
    assert server.address in printed


def test_servers_that_a_killed_one_left_are_named(home: Path) -> None:
    server = small_server("Prefect", unused())
    with ui._running([server]) as processes:
        ui._wait_for([server], processes)
        content = {"prefect": server.address, "mlflow": "http://there", "pid": 77, "groups": [41, 42]}
        (home / environment.SERVERS).write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ConfigError, match="kill -- -41 -42"):
            ui.serve()


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "MLFLOW_TRACKING_URI"])
def test_runs_that_are_kept_elsewhere_are_not_looked_for_here(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://far.example/api")
    with pytest.raises(ConfigError, match=f"{name}: .*http://far.example/api"):
        ui.serve()


@pytest.mark.slow
def test_the_real_servers_start_answer_and_stop(home: Path) -> None:
    names = ("PREFECT_", "MLFLOW_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    command = [sys.executable, "-c", "from flows.cli import main; main()", "ui"]
    root = Path(ui.__file__).parents[1]
    process = subprocess.Popen(command, env=own, cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        printed = "".join(lines)
        found = re.search(r"^Prefect +(http://\S+).*\nMLflow +(http://\S+)", printed, re.MULTILINE)
        assert found, printed
        prefect, mlflow = found.groups()
        servers = environment.running_servers()
        assert servers is not None
        assert environment.answers(f"{prefect}/api/health")
        assert environment.answers(f"{mlflow}/health")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{prefect}/ui-settings", timeout=10) as answer:
            assert json.load(answer)["api_url"] == f"{prefect}/api", "the pages must ask this server"
        second = subprocess.run(command, env=own, cwd=root, capture_output=True, text=True, check=False)
        assert second.returncode == 0
        assert prefect in second.stdout
        assert mlflow in second.stdout
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not any(group_exists(group) for group in servers["groups"])
        assert environment.running_servers() is None
        assert (home / "mlflow" / "mlflow.db").exists()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

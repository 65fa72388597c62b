import contextlib
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from rnnlm import environment, signals, store
from rnnlm.errors import ConfigError, StoreError
from rnnlm.login import login
from rnnlm.stack import ports, service, up
from rnnlm.stack.status import only_one, status


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return tmp_path


@contextlib.contextmanager
def listening() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def unused() -> int:
    with listening() as port:
        return port


def small_server(name: str, port: int) -> service.Service:
    """Return a server that starts at once and needs no data."""
    code = f"""
import http.server, os
# A child that outlives a plain kill of its parent.
if os.fork() == 0:
    import time
    time.sleep(600)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def do_POST(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{{"path": "/enter?key=k"}}')
http.server.HTTPServer(("{ports.HOST}", {port}), Answer).serve_forever()
"""
    file = store.home() / f"{name.lower()}_server.py"
    file.write_text(code, encoding="utf-8")
    address = f"http://{ports.HOST}:{port}"
    works = functools.partial(environment.answers, f"{address}/health")
    return service.Service(name, address, works, [file.stem], {"PYTHONPATH": str(file.parent)})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Small servers and a small worker in place of the real ones; gives the addresses that were deployed to."""
    deployed: list[str] = []
    monkeypatch.setattr(up, "prefect_server", lambda port: small_server("Prefect", port))
    monkeypatch.setattr(up, "_mlflow_server", lambda port: small_server("MLflow", port))
    monkeypatch.setattr(up, "_worker", lambda _prefect: replace(small_server("Worker", unused()), address=""))
    monkeypatch.setattr("rnnlm.stack.deploy.deploy", deployed.append)
    return deployed


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_busy_usual_port_is_passed_over() -> None:
    with listening() as busy:
        found = ports.find_port(busy, None, "--prefect-port")
        assert busy < found < busy + 100
        assert ports.is_free(found)
        assert ports.find_port(found, None, "--mlflow-port", taken=found) > found


def test_a_busy_port_that_was_asked_for_is_named() -> None:
    with listening() as busy, pytest.raises(ConfigError, match=rf"--mlflow-port: port {busy} is busy"):
        ports.find_port(5000, busy, "--mlflow-port")
    free = unused()
    assert ports.find_port(5000, free, "--mlflow-port") == free
    with pytest.raises(ConfigError, match="is busy"):
        ports.find_port(5000, free, "--mlflow-port", taken=free)


def test_all_run_until_a_signal_and_leave_nothing(
    home: Path, small: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = unused(), unused()
    seen: list[dict[str, object] | None] = []
    watch, watched = up._watch, threading.Event()

    def watch_and_tell(started: list[service.Started]) -> None:
        watched.set()
        watch(started)

    def end() -> None:
        # By now the addresses are printed; the file of the servers is written before that.
        assert watched.wait(60)
        seen.append(environment.running_servers())
        up.down()

    monkeypatch.setattr(up, "_watch", watch_and_tell)

    before = {number: signal.getsignal(number) for number in signals.ENDING}
    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    try:
        up.up(*wanted)
        # A second signal, which may be on its way, must not kill what ends.
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    thread.join(10)

    servers = seen[0]
    assert servers is not None
    assert servers["prefect"] == f"http://{ports.HOST}:{wanted[0]}"
    assert servers["mlflow"] == f"http://{ports.HOST}:{wanted[1]}"
    assert servers["pid"] == os.getpid()
    assert small == [f"{servers['prefect']}/api"]
    assert isinstance(servers["groups"], list)
    assert len(servers["groups"]) == 3
    assert not any(group_exists(group) for group in servers["groups"])
    assert not (home / environment.SERVERS).exists()
    printed = capsys.readouterr().out
    assert "All is stopped" in printed
    for name, port in zip(("Prefect", "MLflow "), wanted, strict=True):
        assert f"{name}  http://{ports.HOST}:{port}/enter?key=k\n" in printed


def test_a_server_that_does_not_start_is_named_and_the_other_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    well = small_server("Prefect", unused())
    broken = service.Service("MLflow", "http://there", lambda: False, ["no_such_module"], {})
    monkeypatch.setattr(up, "prefect_server", lambda port: well)
    monkeypatch.setattr(up, "_mlflow_server", lambda port: broken)
    with pytest.raises(StoreError, match=r"MLflow ended by itself \(exit code 1\).*no_such_module.*See .*log"):
        up.up()
    assert not environment.answers(well.address)


def test_a_worker_that_breaks_down_is_started_again(
    small: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def last() -> int:
        servers = environment.running_servers()
        assert servers is not None
        return int(servers["groups"][-1])

    def end() -> None:
        while environment.running_servers() is None:
            time.sleep(0.05)
        first = last()
        os.killpg(first, signal.SIGKILL)
        while last() == first:
            time.sleep(0.05)
        # The next one has not lasted: it is given up.
        monkeypatch.setattr(up, "WORKER_SECONDS", 600.0)
        os.killpg(last(), signal.SIGKILL)

    monkeypatch.setattr(up, "WORKER_SECONDS", 0.0)
    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    with pytest.raises(StoreError, match=r"Worker ended by itself \(exit code -9\)"):
        up.up(unused(), unused())
    thread.join(10)
    assert "is started again: see" in capsys.readouterr().out


def test_down_stops_a_start_as_soon_as_it_can(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    starting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    server, thread = small_server("Prefect", unused()), threading.Thread(target=up.down, daemon=True)
    with only_one(), service.running() as started:
        status()
        thread.start()
        started.append(service.start(server))
        service.wait_for(started)
        content = {"prefect": server.address, "mlflow": server.address, "pid": starting.pid, "groups": [1]}
        (home / environment.SERVERS).write_text(json.dumps(content), encoding="utf-8")
        assert starting.wait(60) == -signal.SIGTERM
        (home / environment.SERVERS).unlink()
    thread.join(60)
    assert capsys.readouterr().out.splitlines() == [
        "`rnnlm up` is just starting.",
        "`rnnlm up` is just starting; it is stopped as soon as it has started.",
        "All is stopped.",
    ]


def test_a_second_start_says_where_the_first_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with only_one() as first:
        assert first
        up.up()
        assert "just starting" in capsys.readouterr().out
        server = small_server("Prefect", unused())
        with service.running() as started:
            started.append(service.start(server))
            service.wait_for(started)
            content = {"prefect": server.address, "mlflow": server.address, "pid": 77, "groups": [1]}
            (home / environment.SERVERS).write_text(json.dumps(content), encoding="utf-8")
            up.up()
    printed = capsys.readouterr().out
    assert "runs already (process 77)" in printed
    assert server.address in printed


def test_servers_that_a_killed_one_left_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "LEFT_SECONDS", 0.5)
    server = small_server("Prefect", unused())
    with service.running() as started:
        started.append(service.start(server))
        service.wait_for(started)
        content = {"prefect": server.address, "mlflow": "http://there", "pid": 77, "groups": [41, 42]}
        (home / environment.SERVERS).write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(ConfigError, match="kill -- -41 -42"):
            up.up()


def test_a_service_ends_with_its_parent_however_that_ends(home: Path) -> None:
    server = small_server("Prefect", unused())
    code = f"""
import os, signal
from rnnlm.stack import service
started = service.start(service.Service("Prefect", "", lambda: True, {server.command}, {server.environment}))
print(started.process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    end = time.monotonic() + 30
    while group_exists(int(done.stdout)):
        assert time.monotonic() < end, "the server and its child live on"
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "MLFLOW_TRACKING_URI"])
def test_runs_that_are_kept_elsewhere_are_not_looked_for_here(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://far.example/api")
    with pytest.raises(ConfigError, match=f"{name}: .*http://far.example/api"):
        up.up()


@pytest.mark.slow
def test_the_real_stack_starts_answers_and_stops(home: Path) -> None:
    names = ("PREFECT_", "MLFLOW_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    root = Path(up.__file__).parents[2]

    def command(name: str) -> list[str]:
        return [sys.executable, "-c", "from rnnlm.cli.app import main; main()", name]

    def said(name: str) -> str:
        done = subprocess.run(command(name), env=own, cwd=root, capture_output=True, text=True, check=True)
        return done.stdout

    process = subprocess.Popen(command("up"), env=own, cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                break
        printed = "".join(lines)
        found = re.search(r"^Prefect +(http://\S+)/enter.*\nMLflow +(http://\S+)/enter", printed, re.MULTILINE)
        assert found, printed
        prefect, mlflow = found.groups()
        servers = environment.running_servers()
        assert servers is not None
        assert environment.answers(f"{prefect}/api/health")
        assert environment.answers(f"{mlflow}/health")
        settings = httpx.get(f"{prefect}/ui-settings", headers=environment.authorization())
        assert settings.json()["api_url"] == f"{prefect}/api", "the pages must ask this server"
        assert httpx.get(f"{prefect}/api/health").status_code == 401
        assert httpx.get(f"{mlflow}/health").status_code == 401
        secret = login().partition(":")[2]
        shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert secret not in shown
        readable = [file for file in home.rglob("*") if file.is_file() and file.stat().st_mode & 0o044]
        assert not any(secret.encode() in file.read_bytes() for file in readable)
        again = said("up")
        assert prefect in again
        assert mlflow in again
        here = said("status")
        assert "Workers      1 online" in here
        assert "adapt/demo, pretrain/demo, score/files, transfer/demo" in here
        assert "All is stopped" in said("down")
        assert process.wait(60) == 0
        assert not any(group_exists(group) for group in servers["groups"])
        assert environment.running_servers() is None
        assert "Nothing runs here" in said("status")
        assert (home / "mlflow" / "mlflow.db").exists()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

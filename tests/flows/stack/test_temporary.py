import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rnnlm import environment
from rnnlm.errors import ConfigError, StoreError
from rnnlm.stack import ports, temporary


@pytest.fixture(autouse=True)
def without_prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not loaded Prefect yet, as every command is at its start."""
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    monkeypatch.delitem(sys.modules, "prefect", raising=False)


@contextmanager
def server(status: int, port: int = 0) -> Iterator[str]:
    """Serve this status, whatever is asked; gives the address of the API."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((ports.HOST, port), Answer) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://{ports.HOST}:{running.server_port}/api"
        running.shutdown()


def test_a_named_server_that_answers_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(200) as api:
        monkeypatch.setenv("PREFECT_API_URL", api)
        temporary.ensure_server()
        assert os.environ["PREFECT_API_URL"] == api


def test_a_named_server_that_starts_later_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(temporary, "SECONDS_SILENT", 0.2)
    port = ports.find_port(18_000, None, "")
    monkeypatch.setenv("PREFECT_API_URL", f"http://{ports.HOST}:{port}/api")
    waiting = threading.Thread(target=temporary.ensure_server, daemon=True)
    waiting.start()
    time.sleep(1.0)
    assert waiting.is_alive()
    with server(200, port):
        waiting.join(30)
        assert not waiting.is_alive()
    said = capsys.readouterr().err
    assert said.count("\n") == 1, "it is said once"
    assert f"Waiting for Prefect's server at http://{ports.HOST}:{port}/api" in said


def test_a_server_that_never_answers_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.PATIENCE, "1")
    monkeypatch.setenv("PREFECT_API_URL", f"http://user:secret@{ports.HOST}:1/api")
    with pytest.raises(StoreError, match=r"does not answer.*waited for 1 s") as found:
        temporary.ensure_server()
    assert "secret" not in str(found.value)


@pytest.mark.parametrize("address", ["nowhere", "http://", "ftp://here/api", "http://a b/api"])
def test_what_is_no_address_is_said_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", address)
    with pytest.raises(ConfigError, match="PREFECT_API_URL"):
        temporary.ensure_server()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_is_said_at_once(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(status) as api:
        monkeypatch.setenv("PREFECT_API_URL", api)
        with pytest.raises(ConfigError, match=r"refuses the login.*PREFECT_API_AUTH_STRING"):
            temporary.ensure_server()


@pytest.mark.parametrize("given", ["soon", "-1", "0", "1.5", "1000000"])
def test_patience_is_a_number_of_seconds(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment.PATIENCE, given)
    with pytest.raises(ConfigError, match=environment.PATIENCE):
        environment.patience()


CODE = """
import os, sys, time
from rnnlm import environment
environment.prepare()
from rnnlm.stack.temporary import ensure_server
ensure_server()
import httpx
api = os.environ["PREFECT_API_URL"]
assert httpx.get(f"{api}/health").status_code == 401
assert httpx.get(f"{api}/health", headers=environment.authorization() | {"Host": "evil.example"}).status_code == 403
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    client.read_flows()
print(os.environ["PREFECT_API_URL"], flush=True)
if sys.argv[1] == "wait": time.sleep(600)
"""


def command(home: Path, what: str) -> subprocess.Popen[str]:
    """Run a process that needs Prefect's server as a command does."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return subprocess.Popen(
        [sys.executable, "-c", CODE, what], env=own | {"RNNLM_HOME": str(home)}, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_commands_that_begin_at_once_in_a_new_workplace_do_not_disturb_each_other(tmp_path: Path) -> None:
    at_once = [command(tmp_path, "end") for _ in range(3)]
    addresses = [process.communicate(timeout=300)[0].strip() for process in at_once]
    assert [process.returncode for process in at_once] == [0, 0, 0]
    assert len(set(addresses)) == 3
    assert not list((tmp_path / "logs").iterdir())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, None])
def test_the_real_server_asks_for_the_login_and_ends_with_its_command(
    number: signal.Signals | None, tmp_path: Path
) -> None:
    process = command(tmp_path, "wait" if number else "end")
    assert process.stdout is not None
    api = process.stdout.readline().strip()
    assert api
    if number:
        process.send_signal(number)
    assert process.wait(60) == (-number if number else 0)
    process.stdout.close()
    end = time.monotonic() + 30
    while environment.answers(f"{api}/health"):
        assert time.monotonic() < end, "the server lives on"
        time.sleep(0.2)

import http.server
import threading
from collections.abc import Iterator

import httpx
import pytest

from rnnlm.stack import api, ports


@pytest.fixture
def busy(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[str]]]:
    """A server that turns the first requests away; gives its address and what it was asked."""
    asked: list[str] = []

    class Busy(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(503 if len(asked) <= request.param else 200)
            self.end_headers()
            if len(asked) > request.param:
                self.wfile.write(b'{"id": 7}')

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((ports.HOST, 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{ports.HOST}:{server.server_port}", asked
        server.shutdown()


@pytest.mark.parametrize("busy", [2], indirect=True)
def test_a_busy_server_is_asked_again(busy: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "WAITS", (0.0, 0.0, 0.0))
    address, asked = busy
    assert api.ask(address, "/things", {"a": 1}) == {"id": 7}
    assert asked == ['{"a":1}'] * 3


@pytest.mark.parametrize("busy", [99], indirect=True)
def test_a_server_that_stays_busy_is_an_error(busy: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "WAITS", (0.0,))
    address, asked = busy
    with pytest.raises(httpx.HTTPStatusError, match="503"):
        api.ask(address, "/things", {})
    assert len(asked) == 2

"""Who may send a request to the servers that we start. The pages themselves are tested in tests/flows/browser."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from rnnlm.environment import HOSTS
from rnnlm.login import login
from rnnlm.stack import door

HERE = "127.0.0.1:4200"


async def answer(request: Request) -> JSONResponse:
    return JSONResponse({"path": request.url.path})


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    monkeypatch.setenv(HOSTS, HERE)
    return tmp_path


def client(prefect: bool = False) -> TestClient:
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    app = Starlette(
        routes=[
            WebSocketRoute("/{path:path}", talk),
            Route("/{path:path}", answer, methods=methods),
        ]
    )
    return TestClient(door.Door(app, prefect=prefect), base_url=f"http://{HERE}", follow_redirects=False)


def basic(given: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(given.encode()).decode()}


def entered(prefect: bool = False) -> TestClient:
    """Return a browser that has entered by a link."""
    browser = client(prefect)
    link = browser.post("/enter", headers=basic(login())).json()["path"]
    assert browser.get(link).status_code == 200
    return browser


def test_the_login_is_made_once_and_only_its_owner_reads_it(home: Path) -> None:
    first = login()
    assert login() == first
    assert len(first) > 64
    assert (home / "login").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in home.glob("login*")] == ["login"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4200", "127.0.0.1", "127.0.0.1:4201", "", "[::1]:4200"])
@pytest.mark.parametrize("path", ["/", "/api/health", "/api/flows/filter", "/enter", "/health"])
def test_a_foreign_host_is_refused_whatever_it_brings(host: str, path: str) -> None:
    for headers in ({}, basic(login())):
        for method in ("GET", "POST", "OPTIONS"):
            assert client(True).request(method, path, headers={**headers, "host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9999", "null", "https://127.0.0.1", ""])
def test_a_foreign_origin_is_refused_whatever_it_brings(origin: str) -> None:
    for headers in ({}, basic(login())):
        for method in ("GET", "POST", "OPTIONS", "DELETE"):
            found = entered().request(method, "/api/flows/filter", headers={**headers, "origin": origin})
            assert found.status_code == 403
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        entered().websocket_connect(f"ws://{HERE}/api/x", headers={"origin": origin}),
    ):
        pass
    assert closed.value.code == 1008


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_lead_here_and_nothing_else(site: str) -> None:
    link = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert entered().get("/runs", headers=link).status_code == 200
    for change in ({"sec-fetch-dest": "iframe"}, {"sec-fetch-mode": "no-cors"}, {"sec-fetch-dest": "image"}):
        assert entered().get("/runs", headers=link | change).status_code == 403
    assert entered().post("/runs", headers=link).status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/api/health", "/api/ready", "/api/variables/name/health", "/ui-settings", "/docs"]
)
def test_nothing_passes_without_the_login(path: str) -> None:
    for headers in ({}, basic("rnnlm:wrong"), basic(""), {"authorization": "Basic"}, {"authorization": "Bearer x"}):
        assert client(True).get(path, headers=headers).status_code == 401
        assert client().get(path, headers=headers).status_code == 401
    assert client(True).get(path, headers=basic(login())).json() == {"path": path}


def test_a_websocket_needs_the_login_but_where_prefect_asks_itself() -> None:
    with pytest.raises(WebSocketDisconnect), client().websocket_connect(f"ws://{HERE}/api/events/out"):
        pass
    with client().websocket_connect(f"ws://{HERE}/api/events/out", headers=basic(login())) as there:
        assert there.receive_text() == "hello"
    with client(True).websocket_connect(f"ws://{HERE}/api/events/out") as there:
        assert there.receive_text() == "hello"
    with pytest.raises(WebSocketDisconnect), client(True).websocket_connect(f"ws://{HERE}/events/out"):
        pass


def test_a_link_lets_one_browser_in() -> None:
    browser = client()
    link = browser.post("/enter", headers=basic(login())).json()["path"]
    page = browser.get(link)
    cookie = page.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert login().partition(":")[2] not in page.text + cookie, "MLflow's pages never see the login"
    assert browser.get("/runs").status_code == 200
    again = TestClient(browser.app, base_url=f"http://{HERE}").get(link)
    assert again.status_code == 401
    assert "rnnlm status" in again.text


def test_prefects_api_takes_no_cookie_and_its_pages_get_the_login() -> None:
    browser = client(True)
    page = browser.get(browser.post("/enter", headers=basic(login())).json()["path"])
    assert base64.b64encode(login().encode()).decode() in page.text
    assert page.headers["cache-control"] == "no-store"
    assert browser.get("/dashboard").status_code == 200
    assert browser.post("/api/flows/filter").status_code == 401


def test_the_login_by_hand() -> None:
    for given in (login(), login().partition(":")[2], f" {login()}\n"):
        browser = client()
        assert browser.post("/enter", data={"login": given}).status_code == 200
        assert browser.get("/").status_code == 200
    browser = client()
    for wrong in ("", "rnnlm", "rnnlm:", "é", "x" * 200):
        assert browser.post("/enter", data={"login": wrong}).status_code == 401
    assert browser.post("/enter", content=b"login=" + b"x" * 100_000).status_code == 413
    assert browser.get("/enter?key=").status_code == 401
    shown = browser.get("/", headers={"accept": "text/html"})
    assert shown.status_code == 401
    assert "<form" in shown.text


def test_localhost_leads_to_the_address_that_has_the_cookie() -> None:
    found = client().get("/runs?a=1", headers={"host": "localhost:4200"})
    assert found.status_code == 307
    assert found.headers["location"] == "http://127.0.0.1:4200/runs?a=1"
    assert client().post("/runs", headers={"host": "localhost:4200"}).status_code == 403


def test_no_other_site_shows_or_loads_a_page() -> None:
    headers = entered().get("/").headers
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.fixture
def prefect_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TestClient, list[str]]]:
    """Prefect's own application behind the door, and the paths of all its WebSockets."""
    from prefect.server.api.server import API_ROUTERS
    from prefect.settings import PREFECT_SERVER_API_AUTH_STRING, temporary_settings

    sockets = [
        f"/api{route.path}".replace("{work_pool_name}", "rnnlm")
        for router in API_ROUTERS
        for route in router.routes
        if isinstance(route, WebSocketRoute)
    ]
    with temporary_settings({PREFECT_SERVER_API_AUTH_STRING: login()}):
        yield TestClient(door.prefect_app(), base_url=f"http://{HERE}"), sockets


def test_prefect_asks_for_the_login_on_each_of_its_websockets(
    prefect_sockets: tuple[TestClient, list[str]],
) -> None:
    browser, sockets = prefect_sockets
    assert len(sockets) >= 5
    for path in sockets:
        for given in (None, "rnnlm:wrong"):
            with pytest.raises(WebSocketDisconnect):  # noqa: SIM117, PT012
                with browser.websocket_connect(f"ws://{HERE}{path}", subprotocols=["prefect"]) as there:
                    there.send_json({"type": "auth", "token": given})
                    there.receive_json()
        with pytest.raises(WebSocketDisconnect), browser.websocket_connect(f"ws://{HERE}{path}"):
            pass
        with browser.websocket_connect(f"ws://{HERE}{path}", subprotocols=["prefect"]) as there:
            there.send_json({"type": "auth", "token": login()})
            assert there.receive_json() == {"type": "auth_success"}


def test_a_header_twice_is_no_way_in() -> None:
    raw = [("host", HERE), ("host", "evil.example"), *basic(login()).items()]
    assert client().get("/", headers=raw).status_code == 403

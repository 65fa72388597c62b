"""The door of the servers that this workplace starts: who may send a request to Prefect and to MLflow.

A web page that the user opens can send requests to servers on the user's machine. Prefect's API runs commands, so a
request passes only if

- its `Host` is an address that the server was started for (a foreign name that resolves to this machine is not),
- its `Origin`, or the `Sec-Fetch-Site` of a request without one, is not another site's, and
- it brings the login: as HTTP basic authentication, or, from a browser, as the cookie that `/enter` sets.

`/enter` takes a link that works once (`rnnlm up` and `rnnlm status` print one), or the login by hand.
"""

import base64
import collections
import hashlib
import hmac
import os
import secrets
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rnnlm.environment import HOSTS
from rnnlm.login import login

ENTER = "/enter"
FORM_BYTES = 4_096  # the form has one field; nobody may fill the memory before the login
LINKS = 100  # links that were made and not yet used; the oldest are forgotten
COOKIE_SECONDS = 30 * 24 * 3600
# Prefect's pages keep their password under this name in the browser, as base64.
PREFECT_PASSWORD = "prefect-password"  # noqa: S105 - a name

HEADERS = {
    "x-content-type-options": "nosniff",
    # No other site may show these pages inside its own, nor load from them.
    "x-frame-options": "SAMEORIGIN",
    "content-security-policy": "frame-ancestors 'self'",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",
}


def prefect_app() -> "Door":
    """Return Prefect's server behind the door, for uvicorn.

    Its API takes no cookie: a browser sends a cookie to every port of a host, so another server on this machine could
    collect it. Prefect's pages send the login themselves. Prefect checks it on every WebSocket too, in the first
    message.
    """
    from prefect.server.api.server import create_app

    return Door(create_app(final=True), prefect=True)


def mlflow_app() -> "Door":
    """Return MLflow's server behind the door, for `mlflow server --app-name rnnlm`."""
    from mlflow.server.fastapi_app import app

    return Door(app)


class Door:
    """ASGI middleware that lets only those requests pass that the module's text describes.

    Args:
        app: What is behind the door.
        prefect: Whether that is Prefect's server.
    """

    def __init__(self, app: ASGIApp, prefect: bool = False) -> None:
        self.app = app
        self.prefect = prefect
        self.hosts = [host.strip() for host in os.environ[HOSTS].split(",")]
        self.origins = {f"{scheme}://{host}" for scheme in ("http", "https") for host in self.hosts}
        self.login = login()
        digest = hmac.new(self.login.encode(), b"cookie", hashlib.sha256).hexdigest()
        # Two workplaces on one machine share the host, and so the browser's cookies.
        self.cookie = (f"rnnlm-{digest[:8]}", digest[8:])
        self.links: collections.deque[str] = collections.deque(maxlen=LINKS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it to the application."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer = self._refuse_foreign(scope, headers)
        if answer is None and scope["type"] == "http" and scope["path"] == ENTER:
            answer = await self._enter(Request(scope, receive))
        if answer is None and not self._may_pass(scope, headers):
            answer = _ask_for_login(scope, headers)
        if answer is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            await answer(scope, receive, _with_headers(send))
        else:
            await receive()  # the server waits for an answer to its first message
            await send({"type": "websocket.close", "code": 1008})

    def _refuse_foreign(self, scope: Scope, headers: Headers) -> Response | None:
        """Return a refusal if a request comes from another site, or is meant for another host."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            here = f"http://{self.hosts[0]}"
            if scope["type"] == "http" and scope["method"] == "GET" and hosts == [f"localhost:{urlsplit(here).port}"]:
                query = scope["query_string"].decode("latin-1")
                return RedirectResponse(f"{here}{scope['path']}{'?' if query else ''}{query}")
            return _refused(403, f"This server answers {here} only.")
        origins = headers.getlist("origin")
        if any(origin not in self.origins for origin in origins):
            return _refused(403, "A page of another origin may not ask this server.")
        # Browsers leave `Origin` out where a page only loads an image or a script, or follows a link.
        if not origins and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            follows_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
            if not (follows_link and scope["type"] == "http" and scope["method"] == "GET"):
                return _refused(403, "A page of another site may not ask this server.")
        return None

    def _may_pass(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request brings the login, or is one for which the application asks itself."""
        if self._is_login(headers.get("authorization", "")):
            return True
        is_api = self.prefect and (scope["path"] == "/api" or scope["path"].startswith("/api/"))
        if is_api:
            return bool(scope["type"] == "websocket")
        name, value = self.cookie
        brought = cookie_parser("; ".join(headers.getlist("cookie"))).get(name, "")
        return hmac.compare_digest(brought.encode(), value.encode())

    def _is_login(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        wanted = base64.b64encode(self.login.encode())
        return scheme.lower() == "basic" and hmac.compare_digest(given.strip().encode(), wanted)

    async def _enter(self, request: Request) -> Response:
        """Let a browser in by a link or by the login, or make a link for whoever has the login."""
        if request.method == "POST":
            if self._is_login(request.headers.get("authorization", "")):
                self.links.append(secrets.token_urlsafe(32))
                return JSONResponse({"path": f"{ENTER}?key={self.links[-1]}"})
            body = b""
            async for chunk in request.stream():
                body += chunk
                if len(body) > FORM_BYTES:
                    return _refused(413, "This is too long for a login.")
            given = "".join(parse_qs(body.decode("ascii", "replace")).get("login", [])).strip()
            password = self.login.partition(":")[2]
            right = [hmac.compare_digest(given.encode(), one.encode()) for one in (self.login, password)]
            return self._let_in() if any(right) else _login_page("That is not the login.")
        key = request.query_params.get("key", "")
        if key in self.links:
            self.links.remove(key)
            return self._let_in()
        return _login_page("This link was used before. `rnnlm status` prints a new one." if key else "")

    def _let_in(self) -> Response:
        stored = base64.b64encode(self.login.encode()).decode() if self.prefect else ""
        script = f'localStorage.setItem("{PREFECT_PASSWORD}", "{stored}");' if stored else ""
        response = _page(f'<script>{script}location.replace("/");</script>', 200)
        name, value = self.cookie
        # Lax: a link in a mail or a chat may lead here.
        response.set_cookie(name, value, max_age=COOKIE_SECONDS, httponly=True, samesite="lax")
        return response


def _ask_for_login(scope: Scope, headers: Headers) -> Response:
    if scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
        return _login_page("")
    return _refused(401, "The login is missing or wrong. It is in the file `login` of the workplace.")


LOGIN_PAGE = """<main><h1>rnnlm</h1><p>{note}</p>
<p>Open the address that <code>rnnlm up</code> or <code>rnnlm status</code> prints, or type the login: the content of
the file <code>login</code> in the workplace (<code>.rnnlm/login</code>).</p>
<form method="post" action="/enter"><input name="login" type="password" autofocus autocomplete="current-password"
aria-label="Login" size="40"> <button>Enter</button></form></main>"""
STYLE = """<style>body{font:16px/1.5 system-ui,sans-serif;color:#222;background:#f6f7f9;margin:0}
main{max-width:34rem;margin:15vh auto;padding:2rem;background:#fff;border-radius:8px;box-shadow:0 1px 4px #0003}
input,button{font:inherit;padding:.4rem .6rem}</style>"""


def _login_page(note: str) -> Response:
    return _page(LOGIN_PAGE.format(note=note), 401)


def _page(body: str, status: int) -> Response:
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>rnnlm</title>'
    return HTMLResponse(f"{head}{STYLE}{body}</html>", status, {"cache-control": "no-store"})


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"detail": reason}, status)


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return with_headers

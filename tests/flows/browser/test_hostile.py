"""A web page that wants to use the servers of `rnnlm up`, in the browser of somebody who has entered them."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Page, expect

from rnnlm.stack import ports
from rnnlm.stack.api import ask
from tests.flows.browser.conftest import EVIL

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

# What a page can send without asking first: any of these was executed before there was a door.
HOSTILE = """<!doctype html><title>hostile</title><script>
const prefect = PREFECT, mlflow = MLFLOW, done = [];
const run = JSON.stringify({name: "owned", flow_id: FLOW, job_variables: {command: "touch /tmp/owned"}});
const automation = JSON.stringify({name: "owned", trigger: {type: "event", posture: "Reactive", threshold: 1, within: 0,
  expect: ["*"]}, actions: [{type: "run-deployment", source: "selected", deployment_id: DEPLOYMENT,
  job_variables: {command: "touch /tmp/owned"}}]});
async function send(url, body, options) {
  try {
    const got = await fetch(url, {method: "POST", body, ...options});
    done.push(`${url} ${got.type} ${got.status}`);
  }
  catch (error) { done.push(`${url} ${error}`); }
}
async function attack() {
  for (const mode of ["no-cors", "cors"]) for (const credentials of ["include", "omit"]) {
    await send(prefect + "/api/flow_runs/", run, {mode, credentials});
    await send(prefect + "/api/flow_runs/", new Blob([run]), {mode, credentials});
    await send(prefect + "/api/automations/", automation, {mode, credentials});
    await send(prefect + "/api/deployments/" + DEPLOYMENT + "/create_flow_run", "{}", {mode, credentials});
    await send(prefect + "/enter", new URLSearchParams({login: "x"}), {mode, credentials});
    for (const api of ["/api", "/ajax-api"])
      await send(mlflow + api + "/2.0/mlflow/experiments/create", JSON.stringify({name: "owned"}), {mode, credentials});
  }
  for (const path of ["/api/events/in", "/api/events/out"]) await new Promise(end => {
    const socket = new WebSocket(prefect.replace("http", "ws") + path, "prefect");
    socket.onopen = () => { done.push(path + " OPEN"); end(); };
    socket.onerror = () => { done.push(path + " refused"); end(); };
  });
  for (const [tag, url] of [["img", prefect + "/ico/favicon.ico"], ["iframe", prefect + "/dashboard"]]) {
    await new Promise(end => {
      const element = document.createElement(tag);
      element.onload = element.onerror = event => { done.push(`${tag} ${event.type}`); end(); };
      element.src = url; document.body.append(element);
    });
  }
  document.body.append(Object.assign(document.createElement("pre"), {id: "done", textContent: done.join("\\n")}));
}
addEventListener("load", attack);
</script><body></body>"""


@contextlib.contextmanager
def serving(page: str = "") -> Iterator[tuple[int, list[str]]]:
    """Serve a page; gives the port, and the paths that something was sent to."""
    sent: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def do_POST(self) -> None:
            sent.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((ports.HOST, 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, sent
        server.shutdown()


def hostile_page(prefect: str, mlflow: str, deployment: dict[str, str]) -> str:
    page = HOSTILE.replace("PREFECT", json.dumps(prefect)).replace("MLFLOW", json.dumps(mlflow))
    return page.replace("FLOW", json.dumps(deployment["flow_id"])).replace("DEPLOYMENT", json.dumps(deployment["id"]))


def opened(page: Page, name: str, hostile: str) -> str:
    """Open the hostile page under a name; gives what it says that it has done."""
    with serving(hostile) as (port, _):
        page.goto(f"http://{name}:{port}/")
        expect(page.locator("#done")).to_be_visible()
        return page.locator("#done").inner_text()


def there(stack: dict[str, str]) -> tuple[int, set[str], set[str]]:
    runs = ask(stack["prefect"], "/flow_runs/count", {})
    automations = {one["name"] for one in ask(stack["prefect"], "/automations/filter", {})}
    experiments = {one.name for one in MlflowClient(stack["mlflow"]).search_experiments()}
    return runs, automations, experiments


@pytest.mark.parametrize("name", [ports.HOST, "localhost", EVIL])
def test_a_hostile_page_gets_nothing_done(page: Page, stack: dict[str, str], name: str) -> None:
    page.goto("about:blank")  # so that nothing of Prefect's own page is still on its way
    before = there(stack)
    answers: list[tuple[str, int]] = []
    page.on("response", lambda got: answers.append((got.url, got.status)))
    deployment = ask(stack["prefect"], "/deployments/name/pretrain/demo", method="GET")
    done = opened(page, name, hostile_page(stack["prefect"], stack["mlflow"], deployment))
    assert "OPEN" not in done
    assert " 200" not in done
    assert {status for url, status in answers if url.startswith((stack["prefect"], stack["mlflow"]))} <= {401, 403}
    assert there(stack) == before


def test_the_hostile_page_does_reach_a_server_without_a_door(page: Page) -> None:
    with serving() as (port, sent):
        address = f"http://{ports.HOST}:{port}"
        opened(page, ports.HOST, hostile_page(address, address, {"flow_id": "f", "id": "d"}))
    assert {"/api/flow_runs/", "/api/automations/", "/api/2.0/mlflow/experiments/create"} <= set(sent)


def test_a_foreign_name_for_this_machine_opens_no_page(page: Page, stack: dict[str, str]) -> None:
    for server in (stack["prefect"], stack["mlflow"]):
        for path in ("/", "/api/health", "/enter"):
            got = page.goto(server.replace(ports.HOST, EVIL) + path)
            assert got is not None
            assert got.status == 403


def test_a_person_without_the_link_is_asked_for_the_login(page: Page, stack: dict[str, str]) -> None:
    context = page.context.browser
    assert context is not None
    stranger = context.new_page()
    stranger.goto(f"{stack['prefect']}/dashboard")
    expect(stranger.get_by_label("Login")).to_be_visible()
    stranger.get_by_label("Login").fill("wrong")
    stranger.get_by_role("button", name="Enter").click()
    expect(stranger.get_by_text("That is not the login.")).to_be_visible()
    stranger.close()

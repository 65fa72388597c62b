"""A browser, and the servers and the worker whose pages it shows."""

import contextlib
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright

from rnnlm import login
from rnnlm.stack import ports
from rnnlm.stack.api import link

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# Nothing is looked for outside of this machine.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]
# A foreign name that leads to this machine, as a hostile name server would have it.
EVIL = "evil.example"
ARGUMENTS += [f"--host-resolver-rules=MAP {EVIL} 127.0.0.1"]
PATIENCE = 120_000.0  # milliseconds: two busy cores
# What a page shows by itself, without waiting for a run; five seconds by default.
expect.set_options(timeout=30_000)

# RNNLM_TEST_DATABASE=postgresql: behind both servers, from the system's own programs.
DATABASE = os.environ.get("RNNLM_TEST_DATABASE", "sqlite")
# RNNLM_SCREENSHOTS=FOLDER: where pictures for the documentation go.
SCREENSHOTS = os.environ.get("RNNLM_SCREENSHOTS")
if not SCREENSHOTS:
    # Without a graphics card the graph of a run, which Prefect draws anew many times a second, takes most of a core.
    ARGUMENTS += ["--disable-3d-apis"]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield the variables that name the servers' databases: none for SQLite; a PostgreSQL of the session's own."""
    if DATABASE == "sqlite":
        yield {}
        return
    # Debian keeps them out of the path.
    initdb = shutil.which("initdb") or next(iter(Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
    assert initdb, "PostgreSQL is not installed: apt-get install postgresql"
    found = Path(initdb).resolve().parent
    # It does not run as root; its folder must then be reached by another user.
    user = ["runuser", "--user", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(subprocess.run([*user, "mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    port = ports.find_port(5432, None, "")
    server = ["-D", str(folder), "-w", "-o", f"-p {port} -h {ports.HOST} -k {folder}", "-l", str(folder / "log")]
    try:
        subprocess.run([*user, str(found / "initdb"), "-D", str(folder), "-A", "trust", "-U", "rnnlm"], check=True)
        subprocess.run([*user, str(found / "pg_ctl"), "start", *server], check=True)
        try:
            for name in ("prefect", "mlflow"):
                there = ["-h", ports.HOST, "-p", str(port), "-U", "rnnlm"]
                subprocess.run([str(found / "createdb"), *there, name], check=True)
            address = f"rnnlm@{ports.HOST}:{port}"
            yield {
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{address}/prefect",
                "MLFLOW_TRACKING_URI": f"postgresql://{address}/mlflow",
            }
        finally:
            subprocess.run([*user, str(found / "pg_ctl"), "stop", "-D", str(folder), "-m", "immediate"], check=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory,
    database: dict[str, str],
    rnnlm_up: Callable[..., contextlib.AbstractContextManager[dict[str, str]]],
) -> Iterator[dict[str, str]]:
    """Run `rnnlm up`; gives the addresses of its servers, which this process may ask too."""
    home = tmp_path_factory.mktemp("stack") / "home"
    with rnnlm_up(home, database) as servers, pytest.MonkeyPatch.context() as patch:
        known = (home / login.FILE).read_text(encoding="ascii").strip()
        user, _, password = known.partition(":")
        patch.setenv(login.VARIABLE, known)
        patch.setenv("MLFLOW_TRACKING_USERNAME", user)
        patch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        yield servers


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start the system's own Chromium."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert found, "Chromium is not installed: apt-get install chromium"
    with warnings.catch_warnings(), sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=ARGUMENTS)


@pytest.fixture(scope="session")
def entered(chromium: Browser, stack: dict[str, str]) -> StorageState:
    """Return what a browser keeps once it has entered both servers: cookies, and Prefect's password."""
    with contextlib.closing(chromium.new_context()) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        for server in (stack["mlflow"], stack["prefect"]):
            page.goto(link(server))
            page.wait_for_url(re.compile(rf"^{re.escape(server)}/(?!enter)"))
        # A page of Prefect that is left while it still checks the password forgets it.
        expect(page.get_by_role("link", name="Deployments").first).to_be_visible()
        return context.storage_state()


@pytest.fixture
def page(chromium: Browser, request: pytest.FixtureRequest, tmp_path: Path, entered: StorageState) -> Iterator[Page]:
    """Open a page that has entered both servers; if the test fails, what it showed at last is kept."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, reduced_motion="reduce", storage_state=entered
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    failed, refused = request.session.testsfailed, list[str]()
    page.on("requestfailed", lambda asked: refused.append(f"{asked.method} {asked.url}: {asked.failure}"))
    page.on("response", lambda said: refused.append(f"{said.status} {said.url}") if said.status >= 400 else None)
    yield page
    if request.session.testsfailed > failed:
        print("\n".join(refused))
        page.screenshot(path=tmp_path / "failed.png")
        print(f"{page.url}: {tmp_path / 'failed.png'}\n{page.inner_text('body')}")
    context.close()


@pytest.fixture
def picture(page: Page) -> Callable[[str], None]:
    """Return what takes a picture for the documentation, where pictures are wanted."""

    def take(name: str) -> None:
        if SCREENSHOTS:
            page.wait_for_timeout(3_000)  # a run's graph is drawn on a canvas, which says nothing when it is done
            page.screenshot(path=Path(SCREENSHOTS) / f"operations-{name}.png")

    return take

"""What a person does in Prefect's and MLflow's pages."""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as LateError

from rnnlm.experiment import Experiment
from rnnlm.stack.api import ask

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
PATIENCE = 180_000.0  # milliseconds for a run of the tiny experiment, on two busy cores
SOON, PRESSES = 30_000.0, 5  # milliseconds until a button has done its work, and how often it is pressed at most
Picture = Callable[[str], None]


@pytest.fixture
def asked(settings: dict[str, Any], experiment: Experiment) -> dict[str, Any]:
    """A small comparison, its texts on disk."""
    assert experiment
    settings["target"] |= {"tokenizer": None, "ngram_order": 2, "adaptations": []}
    # One training for each cell: a cross-validation would take minutes more of the pages' time.
    settings["comparison"] = {
        "arms": ["scratch", "tfidf", "parameter"],
        "labels": [20],
        "seeds": 2,
        "validation": "split",
    }
    return settings


def open_form(page: Page, stack: dict[str, str], flow: str) -> None:
    """Go from the list of deployments to the form of one."""
    page.goto(f"{stack['prefect']}/deployments")
    page.get_by_role("row").filter(has_text=flow).get_by_role("link", name="demo", exact=True).click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    expect(page.get_by_role("heading", name="Parameters")).to_be_visible()


def field(page: Page, description: str) -> Locator:
    """Return the innermost field of a form with this description."""
    return page.locator(".schema-form-property").filter(has=page.get_by_text(description, exact=True)).last


def submit_as_json(page: Page, stack: dict[str, str], parameters: dict[str, Any]) -> None:
    """Submit the parameters as JSON, as the form's menu offers, and go to the page of the run."""
    page.get_by_role("heading", name="Parameters").locator("xpath=..").get_by_role("button").click()
    page.get_by_text("Use JSON input").click()
    page.locator("textarea.p-code-input__textarea").fill(json.dumps(parameters))
    # The page goes to the deployment by itself, and the message with the way to the run goes away soon after.
    deployment_page = re.compile(r"/deployments/deployment/[0-9a-f-]{36}(\?.*)?$")
    pressed(page.get_by_role("button", name="Submit"), lambda: page.wait_for_url(deployment_page, timeout=SOON))
    deployment = page.url.partition("/deployment/")[2][:36]
    newest = {"deployments": {"id": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
    (run,) = ask(stack["prefect"], "/flow_runs/filter", newest)
    page.goto(f"{stack['prefect']}/runs/flow-run/{run['id']}")
    expect(page.get_by_text("Job Variables", exact=True)).to_be_visible()


def start(page: Page, stack: dict[str, str], flow: str, parameters: dict[str, Any], until: str) -> None:
    """Start a run with these parameters, and wait on its page for a state."""
    open_form(page, stack, flow)
    submit_as_json(page, stack, parameters)
    state(page, until)


def start_training(page: Page, stack: dict[str, str], source: dict[str, Any]) -> None:
    """Start the training of a source model, and wait until its progress is seen."""
    start(page, stack, "pretrain", source, until="Running")
    expect(page.get_by_text(re.compile("Source model: step")).first).to_be_visible(timeout=PATIENCE)


def state(page: Page, name: str) -> None:
    """Wait until the page of a run shows this state."""
    expect(page.locator(".state-badge").get_by_text(name, exact=True).first).to_be_visible(timeout=PATIENCE)


def confirmed(page: Page, action: str) -> None:
    """Press a button of a run's page, and in the dialog that asks again the one that does it."""
    page.get_by_role("button", name=action, exact=True).click()
    dialog = page.locator(".p-modal")
    button = dialog.get_by_role("button", name=re.compile(f"^(Confirm|Submit|{action})$"))
    pressed(button, lambda: expect(dialog).to_be_hidden(timeout=SOON))


def pressed(button: Locator, done: Callable[[], None]) -> None:
    """Press a button until what it does is done.

    Over SQLite the server turns a page away where others write at the same moment: a person presses again.
    """
    for _ in range(PRESSES - 1):
        button.click()
        with contextlib.suppress(AssertionError, LateError):
            return done()
    button.click()
    return done()


def tasks_of(stack: dict[str, str], page: Page) -> list[tuple[str, str]]:
    """Return the task runs of the run whose page is open, each with its state, in their order."""
    run = re.search("[0-9a-f-]{36}", page.url)
    assert run
    wanted = {"flow_runs": {"id": {"any_": [run[0]]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return [(task["name"], task["state_name"]) for task in ask(stack["prefect"], "/task_runs/filter", wanted)]


def runs_of(stack: dict[str, str], experiment: str) -> Counter[str]:
    """Count the runs of an experiment in MLflow, by status."""
    client = MlflowClient(stack["mlflow"])
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return Counter(run.info.status for run in client.search_runs([found.experiment_id]))


def test_from_the_form_to_the_verdict_and_the_registered_model(
    page: Page, stack: dict[str, str], asked: dict[str, Any], picture: Picture
) -> None:
    page.goto(f"{stack['prefect']}/deployments")
    expect(page.get_by_text("4 Deployments")).to_be_visible()

    # A value out of bounds is refused where it was entered, before any worker starts.
    open_form(page, stack, "transfer")
    layers = field(page, "Number of recurrent layers.")
    expect(layers).to_contain_text("Layers (Optional)")
    layers.get_by_role("spinbutton").fill("99")
    page.get_by_role("button", name="Submit").click()
    refusal = page.get_by_text("Validation failed for field 'experiment.model.layers'").first
    expect(refusal).to_contain_text("99 is greater than the maximum of 8")
    picture("refused")
    assert "/run" in page.url

    # The right ones: the worker takes the run, the page shows it at work and at its end.
    start(page, stack, "transfer", {"experiment": asked}, until="Completed")
    expect(page.get_by_role("link", name="transfer", exact=True)).to_be_visible()
    run = page.url
    page.reload()  # the graph was drawn when the run began; now it shows the whole of it
    page.get_by_text("Artifacts", exact=True).first.click()
    for name in ("mlflow-run", "scores-tiny", "verdict-tiny"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    picture("run")

    # The verdict as an artifact.
    page.get_by_text("verdict-tiny", exact=True).first.click()
    expect(page.get_by_text(re.compile("^For the classifier, use")).first).to_be_visible()

    # The link to MLflow.
    page.goto(run)
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text("mlflow-run", exact=True).first.click()
    link = page.get_by_role("link", name="The run in MLflow").first
    address = link.get_attribute("href")
    assert address is not None
    assert address.startswith(stack["mlflow"])
    page.goto(address)
    page.get_by_role("button", name="Close").click()  # MLflow's assistant
    expect(page.get_by_text(re.compile("^For the classifier, use")).first).to_be_visible()
    expect(page.get_by_text("source documents (").first).to_be_visible()
    expect(page.get_by_role("link", name="classifier parameter labels=20 seed=1")).to_be_visible()
    picture("mlflow")

    # Its figures, among its artifacts.
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("report", exact=True).first.click()
    page.get_by_text("figures", exact=True).first.click()
    page.get_by_text("accuracy.png", exact=True).first.click()
    expect(page.locator("img[src^='blob:'], img[src*='accuracy'], .image-outer-container").first).to_be_visible()

    # A training's curves.
    page.goto(address)
    page.get_by_role("link", name="language model parameter").first.or_(
        page.get_by_role("link", name="classifier parameter labels=20 seed=1")
    ).first.click()
    page.get_by_role("tab", name="Model metrics").click()
    expect(page.get_by_text("train/loss").first).to_be_visible()

    # The registered source model, and its alias.
    page.goto(f"{stack['mlflow']}/#/models/tiny-source")
    expect(page.get_by_text("champion").first).to_be_visible()
    expect(page.get_by_role("link", name="Version 1").first).to_be_visible()
    picture("model")

    # The same with another setting: MLflow's own comparison shows what differs.
    changed = asked | {"comparison": asked["comparison"] | {"margin": 0.05}}
    start(page, stack, "transfer", {"experiment": changed}, until="Completed")
    client = MlflowClient(stack["mlflow"])
    found = client.get_experiment_by_name("tiny")
    assert found is not None
    runs = client.search_runs([found.experiment_id], "tags.`prefect.flow_run_id` LIKE '%'")
    assert len(runs) == 2
    ids = json.dumps([run.info.run_id for run in runs])
    page.goto(f"{stack['mlflow']}/#/compare-runs?runs={ids}&experiments={json.dumps([found.experiment_id])}")
    margin = page.get_by_role("row").filter(has_text="comparison.margin").filter(has_not_text="margin_bits")
    expect(margin).to_contain_text("None")
    expect(margin).to_contain_text("0.05")


def test_a_failed_run_is_retried_where_it_failed(page: Page, stack: dict[str, str], asked: dict[str, Any]) -> None:
    """A file of the source is broken; it is fixed, and Retry is pressed."""
    broken = Path(asked["source"]["corpus"]["files"][0]) / "0.txt"
    whole = broken.read_bytes()
    broken.write_bytes(b"caf\xe9 " + whole)
    asked["name"] = "mended"
    asked["source"]["tokenizer"]["vocabulary_size"] = 57  # no other test's
    start(page, stack, "transfer", {"experiment": asked}, until="Failed")
    expect(page.get_by_text(re.compile("0.txt.*not UTF-8")).first).to_be_visible()
    assert [name for name, _ in tasks_of(stack, page)] == ["ingest", "ingest"]

    broken.write_bytes(whole)
    confirmed(page, "Retry")
    state(page, "Completed")
    done = tasks_of(stack, page)[2:]
    assert done[:2] == [("ingest", "Cached"), ("ingest", "Completed")]
    assert dict(done[2:])["pretrain"] == "Completed"
    # What another test has done with the same texts is cached as well.
    assert {was for _, was in done[2:]} <= {"Completed", "Cached"}


def test_a_run_is_cancelled_and_the_worker_takes_the_next(
    page: Page, stack: dict[str, str], asked: dict[str, Any]
) -> None:
    asked["source"]["language_model"]["epochs"] = 1_000
    asked["source"]["tokenizer"]["vocabulary_size"] = 56
    source = {"name": "ended", "source": asked["source"], "model": asked["model"]}
    start_training(page, stack, source)
    confirmed(page, "Cancel")
    state(page, "Cancelled")

    # Its runs in MLflow are ended, not left behind.
    assert runs_of(stack, "ended") == {"KILLED": 2}

    # The worker is free for the next one, which is suspended at work, and goes on where it was.
    # So long that a fast machine has not finished it before it is suspended.
    source["source"]["language_model"]["epochs"] = 60
    start_training(page, stack, source)
    confirmed(page, "Suspend")
    state(page, "Suspended")
    confirmed(page, "Resume")
    state(page, "Completed")
    assert runs_of(stack, "ended")["FINISHED"] == 2

"""What a run shows of itself, without a run."""

import io
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnlm.cli import display
from rnnlm.cli.display import Lines, work_shown
from rnnlm.display.screen import Screen, terminal
from rnnlm.display.work import Work
from rnnlm.refs import DocumentsRef, ScoreRef
from rnnlm.steps.observe import observed_by, observer, stage

DOCUMENTS = DocumentsRef(
    path=Path(), sha256="", documents={"train": 3}, labels=["a", "b"], labelled={}, dropped={}, overlap={}
)


def score(task: str = "classifier", **metrics: float) -> ScoreRef:
    labels = 20 if task == "classifier" else 0
    found = {"path": Path(), "sha256": "", "arm": "parameter", "labels": labels, "seed": 1, "metrics": metrics}
    return ScoreRef.model_validate({**found, "task": task, "seconds": 2.0, "recorded_as": ""})


def a_run() -> None:
    """What the steps of a run tell."""
    with stage("Read the source"):
        observer().step_began("ingest")
        observer().step_ended("ingest", DOCUMENTS, cached=True)
    with stage("Nothing to do"):
        pass
    with stage("Classifiers"):
        observer().steps_ahead(2)
        observer().step_began("one")
        observer().progressed("Training", 1, 4, "loss 0.5, 10 documents/s")
        observer().step_ended("one", score(accuracy=0.5), cached=False)
        observer().step_began("two")
        observer().step_ended("two", score("language_model", perplexity=30.0, bits_per_character=2.0), cached=True)


def test_a_pipe_gets_a_line_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines() as lines, observed_by(lines):
        a_run()
        lines.warn("look here")
    said = capsys.readouterr()
    assert said.err == "Warning: look here\n"
    assert "\x1b" not in said.out
    told = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in said.out.splitlines()]
    assert told[:-1] == [
        "Read the source begins",
        "Read the source: done, 3 documents, 2 classes, from the cache",
        "Classifiers begins",
        "Classifiers: parameter transfer, 20 labels, seed 1: accuracy 50.0 %, 2.0 s",
        "Classifiers: parameter transfer: perplexity 30.0, 2.000 bits/character, from the cache",
    ]
    assert re.fullmatch(r"Classifiers: done, \d\.\d s", told[-1])


def test_a_progress_is_a_line_every_few_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = Lines()
    lines.stage_began("Pretrain")
    lines.step_began("pretrain")
    lines.progressed("Source model", 1, 4, "10 tokens/s")
    monkeypatch.setattr(display, "SECONDS_BETWEEN", 0.0)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 5.0)
    lines.progressed("Source model", 2, 4, "10 tokens/s")
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    # The first step may have taken minutes, of which nothing is known.
    assert re.search(r"Pretrain: Source model: 2 of 4, 50%, 10 tokens/s, (9\.\d|10) s left$", told[1])


def test_a_terminal_keeps_what_is_done_and_shows_what_runs() -> None:
    out = io.StringIO()
    console = terminal(file=out, force_terminal=True, width=100)
    with Screen(console) as screen, observed_by(screen):
        screen.warn("look here")
        a_run()
        observer().stage_began("Compare")
        observer().step_began("compare")
        observer().progressed("Bootstrap", 1, 4)
        console.print(screen)
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "! look here" in said
    assert re.search(r"✓ Read the source +3 documents, 2 classes +from the cache", said)
    assert "Nothing to do" not in said
    assert re.search(r"✓ Classifiers +2 models", said)
    assert re.search(r"parameter transfer +20 labels, seed 1 +accuracy 50.0 % +2.0 s", said)
    assert re.search(r"Compare +0:00", said)
    assert re.search(r"Bootstrap .* 25%", said)


def test_cells_of_an_unfinished_stage_stay_on_the_screen() -> None:
    out = io.StringIO()
    with Screen(terminal(file=out, force_terminal=True, width=100)) as screen:
        screen.stage_began("Classifiers")
        screen.step_began("one")
        screen.step_ended("one", score(accuracy=0.5), cached=False)
    assert out.getvalue().rstrip().rpartition("accuracy")[2].strip().startswith("50.0 %")


@pytest.mark.parametrize("shown", [Lines, lambda: Screen(terminal(file=io.StringIO(), width=40))])
def test_names_are_shown_as_they_are(shown: Callable[[], Work]) -> None:
    with observed_by(work := shown()), stage("[bold]a[/bold] {0} %s"):
        work.step_began("[x]")
        work.progressed("[/y]", 1, 2, "[z]")
        work.warn("[/w]")


def test_the_librarys_warnings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("rnnlm.steps")
    with work_shown(log=False, traceback=False):
        logger.warning("%d documents stand in two splits", 3)
    with work_shown(log=False, traceback=True):
        logger.warning("shown by Prefect")
    assert capsys.readouterr().err == "Warning: 3 documents stand in two splits\n"


def test_prefects_log_is_not_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.logging.handlers import PrefectConsoleHandler

    monkeypatch.setattr(logging.getLogger(), "handlers", [PrefectConsoleHandler()])
    display._silence_prefect()
    logging.getLogger("prefect.task_runs").error("Task run failed")
    assert capsys.readouterr().err == ""


def test_in_a_narrow_terminal_the_time_left_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    screen = Screen(console := terminal(file=out, width=80))
    screen.stage_began("Classifiers")
    screen.step_began("one")
    name = "Classifier, parameter transfer, 2,000 labels, seed 1"
    screen.progressed(name, 1, 4, "loss 0.1234, 316 documents/s")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 5.0)
    screen.progressed(name, 2, 4, "loss 0.1234, 316 documents/s")
    console.print(screen)
    assert "50%  0:10 left  loss 0.1234" in out.getvalue()

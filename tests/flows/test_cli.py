import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from rnnlm import environment, signals
from rnnlm.cli import app as cli
from rnnlm.cli import display
from rnnlm.errors import DataError
from rnnlm.evaluation.verdict import Cell, Gain, Interval, Verdict
from rnnlm.experiment import Experiment, load_experiment
from rnnlm.refs import ReportRef
from rnnlm.training.range_test import Suggestions

Start = Callable[..., Result]

VERDICT = Verdict(
    experiment="small",
    sentences=["Little text was read."],
    cells=[
        Cell(task="classifier", arm=arm, labels=200, seed=1, metrics={"accuracy": accuracy}, seconds=1.0, history=[])
        for arm, accuracy in (("scratch", 0.7), ("parameter", 0.8))
    ],
    gains=[
        Gain(
            task="classifier",
            metric="accuracy",
            arm="parameter",
            labels=200,
            gain=Interval(value=0.1, low=0.05, high=0.15),
            spread=None,
            seeds=1,
            p_value=0.001,
            outcome="positive",
            sentence="It helps.",
        )
    ],
    source={},
    documents={},
    digests={},
    versions={},
    seconds={},
    configuration={"comparison": {"labels": ["all"]}},
    command="",
)


CORPORA = "source: {corpus: {files: [news.txt]}}\ntarget: {corpus: {files: [reviews.csv], label: label}}\n"


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(f"# A small one.\nname: small\nmodel: {{hidden: 32}}\n{CORPORA}", encoding="utf-8")
    return file


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start the command line in this process; `flow` stands for the flow that it would call."""
    # It works on the handlers of the whole process; it has its own test.
    monkeypatch.setattr(display, "_silence_prefect", lambda: None)

    def call(*arguments: str, flow: Callable[[Experiment], ReportRef] | None = None) -> Result:
        module = types.ModuleType("rnnlm.flows.transfer")
        module.transfer = flow  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "rnnlm.flows.transfer", module)
        return CliRunner().invoke(cli.app, arguments)

    return call


def test_run_prints_the_verdict_and_the_places_last(start: Start, experiment: Path, tmp_path: Path) -> None:
    seen: list[Experiment] = []

    def flow(settings: Experiment) -> ReportRef:
        seen.append(settings)
        (tmp_path / "verdict.json").write_text(VERDICT.model_dump_json(), encoding="utf-8")
        return ReportRef(path=tmp_path, sha256="0", verdict=["Transfer helps.", "By 3 points."])

    result = start("run", str(experiment), "--set", "model.layers=1", "--set", "target.tokenizer=null", flow=flow)

    assert result.exit_code == 0, result.output
    assert (seen[0].name, seen[0].model.hidden, seen[0].model.layers) == ("small", 32, 1)
    assert seen[0].target.tokenizer is None
    lines = [line for line in result.stdout.splitlines() if line]
    assert lines[0].startswith(
        "The classifier is better with transfer: parameter transfer with 200 labels, +10.0 points"
    )
    assert "parameter transfer     80.0 %   +10.0 points [5.0, 15.0]   positive" in result.stdout
    assert "Little text was read." in lines[3:-3]
    assert "rnnlm up" in lines[-3]
    assert lines[-2:] == [f"Report   {tmp_path / 'report.html'}", f"Verdict  {tmp_path / 'verdict.json'}"]


@pytest.mark.parametrize(
    ("suggestions", "lines"),
    [
        (
            Suggestions(steep=0.0321, minimum=0.00456),
            [
                "minimum  0.0046, a tenth of the rate at which the smoothed loss is lowest",
                "steep    0.032, the rate at which it falls most steeply",
                "It is 0.25 now; --set source.language_model.learning_rate=0.0046 tries another.",
            ],
        ),
        (None, ["The loss did not fall at any learning rate: there is nothing to suggest. See the curve."]),
    ],
)
def test_lr_prints_the_suggestions_and_the_files(
    start: Start,
    experiment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suggestions: Suggestions | None,
    lines: list[str],
) -> None:
    seen: list[Experiment] = []

    def flow(settings: Experiment) -> types.SimpleNamespace:
        seen.append(settings)
        return types.SimpleNamespace(path=tmp_path, suggestions=suggestions)

    module = types.ModuleType("rnnlm.flows.learning_rate")
    module.learning_rate = flow  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rnnlm.flows.learning_rate", module)
    result = start("lr", str(experiment), "--set", "source.language_model.learning_rate=0.25")

    assert result.exit_code == 0, result.output
    assert seen[0].model.hidden == 32
    files = [f"Figure   {tmp_path / 'learning-rate.png'}", f"Curve    {tmp_path / 'learning-rate.json'}"]
    assert [line for line in result.stdout.splitlines() if line] == [*lines, *files]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nowhere.yaml"], "nowhere.yaml"),
        (["{file}", "--set", "model.hiden=3"], "model.hiden"),
        (["{file}", "--set", "model.hidden=5000"], "model.hidden"),
        (["{file}", "--set", "hidden"], "hidden"),
    ],
)
@pytest.mark.parametrize("command", ["run", "lr", "show"])
def test_a_wrong_experiment_is_one_message_that_names_the_field(
    start: Start, experiment: Path, command: str, arguments: list[str], named: str
) -> None:
    result = start(command, *(argument.format(file=experiment) for argument in arguments))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
    assert named in result.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DataError("has no column 'text'.", where="a.csv", remedy="Set corpus.text."), "a.csv: has no column 'text'."),
        (OSError(errno.ENOSPC, "No space left on device", "/full/x"), "/full/x: the disk is full."),
        (PermissionError(errno.EACCES, "Permission denied", "/locked/x"), "/locked/x: Permission denied."),
        (ConnectionError("no answer"), "no answer"),
    ],
)
def test_an_error_in_the_flow_is_one_message(start: Start, experiment: Path, error: Exception, message: str) -> None:
    def flow(settings: Experiment) -> ReportRef:
        raise error

    result = start("run", str(experiment), flow=flow)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {message}")
    assert len(result.stderr.splitlines()) == 1

    asked = start("run", str(experiment), "--traceback", flow=flow)
    assert asked.exception is error


@pytest.mark.parametrize("full", [True, False])
def test_whatever_fails_on_a_full_disk_is_one_message(
    start: Start, experiment: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """Prefect's server and its client fail in ways of their own, whose errors name no disk."""

    def flow(settings: Experiment) -> ReportRef:
        raise RuntimeError("Timed out while attempting to connect")

    usage = types.SimpleNamespace(free=0 if full else 1 << 30)
    monkeypatch.setattr("rnnlm.store.shutil.disk_usage", lambda _: usage)
    result = start("run", str(experiment), flow=flow)
    assert isinstance(result.exception, SystemExit if full else RuntimeError)
    assert ("the disk is full. Free some space" in result.stderr) == full


def test_a_fault_of_ours_is_not_hidden(start: Start, experiment: Path) -> None:
    def flow(settings: Experiment) -> ReportRef:
        raise ZeroDivisionError

    assert isinstance(start("run", str(experiment), flow=flow).exception, ZeroDivisionError)


def test_an_interrupt_ends_with_130(start: Start, experiment: Path) -> None:
    def flow(settings: Experiment) -> ReportRef:
        raise KeyboardInterrupt

    result = start("run", str(experiment), flow=flow)
    assert result.exit_code == 130
    assert "finished steps are kept" in result.stderr


def test_show_prints_what_would_run(start: Start, experiment: Path, tmp_path: Path) -> None:
    result = start("show", str(experiment), "--set", "comparison.labels=[50, all]")
    assert result.exit_code == 0
    assert next(iter(yaml.safe_load(result.stdout))) == "name"
    again = tmp_path / "again.yaml"
    again.write_text(result.stdout, encoding="utf-8")
    assert load_experiment(str(again)) == load_experiment(str(experiment), ["comparison.labels=[50, all]"])


def test_list_gives_the_first_comment(
    start: Start, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "silent.yaml").write_text(f"name: silent\n{CORPORA}", encoding="utf-8")
    monkeypatch.setattr(cli, "EXPERIMENTS", tmp_path)
    assert start("list").stdout.splitlines() == ["silent", "small   A small one."]


def test_info_says_what_computes_and_where_everything_is(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    lines = start("info").stdout.splitlines()
    facts = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}
    assert facts["Kernels"].startswith(("native, ", "TensorFlow's operations: "))
    assert facts["Workplace"] == str(tmp_path)
    assert "tensorflow 2" in facts["Versions"]


def test_the_environment_lies_under_one_absolute_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"TF_CPP_MIN_LOG_LEVEL": "0", "RNNLM_HOME": "runs"})
    (tmp_path / "runs" / "prefect").mkdir(parents=True, mode=0o755)  # of an earlier version
    environment.prepare()
    assert os.environ["RNNLM_HOME"] == str(tmp_path / "runs")
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "runs" / "prefect")
    assert (tmp_path / "runs" / "prefect").stat().st_mode & 0o777 == 0o700
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/runs/mlflow/mlflow.db"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0", "what the user has set stays"
    assert "PREFECT_API_URL" not in os.environ


def test_empty_variables_count_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"RNNLM_HOME": "", "MLFLOW_TRACKING_URI": ""})
    environment.prepare()
    assert os.environ["RNNLM_HOME"] == str(tmp_path / ".rnnlm")
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path}/.rnnlm/mlflow/mlflow.db"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "intern, localhost"}, "intern,localhost,127.0.0.1,::1"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_servers_of_this_machine_are_asked_without_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], wanted: str
) -> None:
    monkeypatch.setattr(os, "environ", {"RNNLM_HOME": str(tmp_path), "http_proxy": "http://proxy:3128"} | given)
    environment.prepare()
    environment.prepare()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == wanted


def test_servers_that_are_gone_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"RNNLM_HOME": str(tmp_path)})
    (tmp_path / environment.SERVERS).write_text('{"prefect": "http://127.0.0.1:1", "pid": 1}', encoding="utf-8")
    environment.prepare()
    assert environment.running_servers() is None
    assert environment.pages() == {}
    assert "PREFECT_API_URL" not in os.environ


def test_where_a_browser_finds_servers_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {"RNNLM_HOME": str(tmp_path), "PREFECT_API_URL": "http://prefect:4200/api"}
    monkeypatch.setattr(os, "environ", elsewhere | {"MLFLOW_TRACKING_URI": "http://mlflow:5000"})
    assert environment.pages() == {"prefect": "http://prefect:4200", "mlflow": "http://mlflow:5000"}
    os.environ |= {"PREFECT_UI_URL": "https://team/prefect/", "RNNLM_MLFLOW_UI_URL": "https://team/mlflow"}
    assert environment.pages() == {"prefect": "https://team/prefect", "mlflow": "https://team/mlflow"}


@contextlib.contextmanager
def command(body: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command with this body in a process of its own, until it says that it has begun."""
    script = f"""
import atexit, signal, time
from rnnlm.cli.terminal import errors_for_people
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, which has it ignored
atexit.register(print, "the end was seen")
with errors_for_people(False):
    {body}
"""
    start = [sys.executable, "-c", script]
    with subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_as_ctrl_c_does(number: int) -> None:
    """What Prefect starts for a run is stopped at the interpreter's end; a plain SIGTERM would leave it running."""
    with command("print('begun', flush=True); time.sleep(60)") as process:
        process.send_signal(number)
        process.send_signal(number)  # `timeout` signals a process, and then its group
        said, complained = process.communicate(timeout=30)
    assert "the end was seen" in said
    assert "Interrupted; finished steps are kept." in complained


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_second_of_two_signals_may_come_late(number: int) -> None:
    """It came when the first had been dealt with, and killed the process before its end."""
    body = f"""
    import os
    atexit.register(print, "the twin did no harm")
    atexit.register(os.kill, os.getpid(), {int(number)})
    print("begun", flush=True)
    time.sleep(60)
"""
    with command(body.lstrip()) as process:
        process.send_signal(number)
        said, complained = process.communicate(timeout=30)
    assert "the twin did no harm" in said
    assert "the end was seen" in said
    assert "Interrupted; finished steps are kept." in complained


def test_a_second_signal_ends_at_once() -> None:
    body = """
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("ending", flush=True)
        time.sleep(60)
"""
    with command(body.lstrip()) as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "ending\n"
        time.sleep(signals.ONCE + 0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 128 + signal.SIGINT
        assert "the end was seen" not in process.stdout.read()


@pytest.mark.parametrize("arguments", [["list"], ["show", "demo"]])
def test_a_reader_that_goes_away_ends_a_command_in_silence(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    start = [sys.executable, "-c", "from rnnlm.cli.app import main; main()", *arguments]
    with os.fdopen(writer) as out:
        done = subprocess.run(start, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 128 + signal.SIGPIPE


def test_a_broken_pipe_elsewhere_is_an_error(start: Start, experiment: Path) -> None:
    def flow(settings: Experiment) -> ReportRef:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    result = start("run", str(experiment), flow=flow)
    assert (result.exit_code, result.stderr) == (1, "Error: Broken pipe.\n")

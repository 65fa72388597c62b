import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnlm.apart import apart
from rnnlm.errors import ConfigError, TrainingError


def write(file: Path, text: str) -> None:
    print("not an answer")
    file.write_text(text)


def refuse() -> None:
    raise ConfigError("cannot be", where="here", remedy="Do not.")


def fail() -> None:
    raise ZeroDivisionError


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def last(file: Path) -> None:
    file.write_text(str(os.getpid()))
    time.sleep(60)


def process_in(file: Path) -> int:
    end = time.monotonic() + 60
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return int(file.read_text())


def gone(process: int) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(sys.modules, "test_apart", sys.modules[__name__])
    for function in (write, refuse, fail, die, last):
        monkeypatch.setattr(function, "__module__", "test_apart")


def test_a_function_works_in_a_process_of_its_own(tmp_path: Path) -> None:
    apart(write, tmp_path / "a", text="done")
    assert (tmp_path / "a").read_text() == "done"


def test_an_error_for_people_comes_back_whole() -> None:
    with pytest.raises(ConfigError, match=r"^here: cannot be\. Do not\.$"):
        apart(refuse)


def test_another_error_leaves_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="fail failed"):
        apart(fail)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_killed_process_is_an_error_for_people() -> None:
    with pytest.raises(TrainingError, match="signal 9"):
        apart(die)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let Ctrl-C reach Python, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_process_at_once(tmp_path: Path) -> None:
    def interrupt() -> None:
        process_in(tmp_path / "a")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        apart(last, tmp_path / "a")
    assert gone(process_in(tmp_path / "a"))


def test_the_process_ends_with_one_that_is_killed(tmp_path: Path) -> None:
    script = "import sys, test_apart, pathlib; test_apart.apart(test_apart.last, pathlib.Path(sys.argv[1]))"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}) as parent:
        child = process_in(tmp_path / "a")
        parent.kill()
    assert gone(child)

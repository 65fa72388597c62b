import subprocess
import sys

import pytest


def run(body: str) -> subprocess.CompletedProcess[str]:
    imports = "import os\nfrom rnnlm.model.native import *\nfrom rnnlm.model.native import _Quietly\n"
    imports += "from rnnlm.errors import *\n"
    return subprocess.run([sys.executable, "-c", imports + body], capture_output=True, text=True, check=False)


def test_what_libraries_write_as_they_start_is_not_shown() -> None:
    done = run("with native_messages_held(): os.write(2, b'noise')\nos.write(2, b'news')")
    assert (done.returncode, done.stderr) == (0, "news")


@pytest.mark.parametrize("end", ["os.abort()", "raise ZeroDivisionError"])
def test_what_they_write_as_they_fail_is_shown(end: str) -> None:
    done = run(f"with native_messages_held():\n    os.write(2, b'the reason')\n    {end}")
    assert done.returncode != 0
    assert "the reason" in done.stderr


def test_an_error_for_people_shows_none_of_it() -> None:
    body = "try:\n    with native_messages_held():\n        os.write(2, b'noise')\n        raise DataError('wrong')\n"
    done = run(body + "except DataError: pass")
    assert (done.returncode, done.stderr) == (0, "")


def test_tensorflow_loads_in_silence_and_as_ever() -> None:
    body = "load_tensorflow_quietly()\nimport sys, tensorflow as tf\n"
    done = run(
        body + "print(tf.__spec__.name, tf.constant(1).shape)\nassert not isinstance(sys.meta_path[0], _Quietly)"
    )
    assert (done.returncode, done.stdout) == (0, "tensorflow ()\n"), done.stderr
    assert "oneDNN custom operations" not in done.stderr
    assert "cuda drivers" not in done.stderr

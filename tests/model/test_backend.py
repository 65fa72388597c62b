import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from rnnlm.errors import ConfigError
from rnnlm.model import backend


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("KERAS_BACKEND", "")
    backend.prepare()
    assert {name: os.environ[name] for name in ("TF_ENABLE_ONEDNN_OPTS", "KERAS_BACKEND")} == {
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "KERAS_BACKEND": "tensorflow",
    }


def test_another_backend_of_keras_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = SimpleNamespace(config=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", imported)
    with pytest.raises(ConfigError, match="imported with the backend jax"):
        backend.prepare()


# Frees an array of 300 MB, and prints how many MB the process has given back.
FREES = """
import sys, numpy as np
from rnnlm.model.backend import keep_freed_memory

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) / 1_000

if sys.argv[1:] == ["keep"]:
    keep_freed_memory()
array = np.ones(300_000_000, np.uint8)
before = resident()
del array
print(round(before - resident()))
"""


@pytest.mark.skipif(sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="glibc's allocator")
def test_a_process_of_ours_keeps_what_it_frees() -> None:
    def given_back(*arguments: str, **variables: str) -> int:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
        command = [sys.executable, "-c", FREES, *arguments]
        return int(subprocess.run(command, env=kept | variables, capture_output=True, check=True).stdout)

    assert given_back() > 250
    assert given_back("keep") < 50
    assert given_back("keep", MALLOC_ARENA_MAX="2") > 250, "what the user has set stays"

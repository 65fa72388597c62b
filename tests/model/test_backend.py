import os
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

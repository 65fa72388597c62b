from pathlib import Path

import pytest
from prefect import flow
from pydantic import BaseModel

from rnnlm.errors import DataError, FullDiskError, RnnlmError, StoreError
from rnnlm.refs import Ref
from rnnlm.settings import Corpus, Tokenizer
from rnnlm.tasks.step import finished_output, step, step_key


class Part(Ref):
    documents: int = 1


def test_the_key_is_made_of_content_not_of_places() -> None:
    here, there = (Part(path=Path(folder), sha256="abc") for folder in ("/a", "/b"))
    assert step_key("s", 1, {"x": here}) == step_key("s", 1, {"x": there})
    assert step_key("s", 1, {"x": [here]}) == step_key("s", 1, {"x": [there]})
    assert step_key("s", 1, {"x": here}) != step_key("s", 1, {"x": Part(path=Path("/a"), sha256="abd")})


def test_settings_go_into_the_key_by_value() -> None:
    keys = {
        step_key("tokenize", 1, {"tokenizer": tokenizer})
        for tokenizer in (Tokenizer(), Tokenizer(), Tokenizer(vocabulary_size=9_000), Tokenizer(lowercase=False))
    }
    assert len(keys) == 3


def test_step_and_version_tell_keys_apart() -> None:
    parameters = {"corpus": Corpus(files=["x"])}
    assert len({step_key(name, version, parameters) for name in ("a", "b") for version in (1, 2)}) == 4


def test_for_whom_a_step_runs_does_not_matter() -> None:
    assert step_key("s", 1, {"x": 1, "parent_run_id": "a"}) == step_key("s", 1, {"x": 1, "parent_run_id": "b"})


def test_an_output_of_an_earlier_run_is_found_and_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @step(version=4)
    def train(x: Ref, rate: float = 0.1, *, parent_run_id: str) -> Part:
        raise AssertionError("nothing is run")

    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    part = Part(path=Path("/a"), sha256="abc")
    assert finished_output(train, part, parent_run_id="") is None
    folder = tmp_path / "store" / step_key("train", 4, {"x": part, "rate": 0.1, "parent_run_id": "other"})
    folder.mkdir(parents=True)
    assert finished_output(train, part, parent_run_id="") == folder
    assert finished_output(train, part, 0.2, parent_run_id="") is None


class Answer(BaseModel):
    value: int


@pytest.mark.usefixtures("prefect")
@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (StoreError("the store does not answer"), 3),
        (FullDiskError("/here"), 1),
        (ConnectionError("reset"), 3),
        (DataError("broken"), 1),
        (RnnlmError("wrong"), 1),
        (ValueError("a bug"), 1),
        (FileNotFoundError("gone"), 1),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, attempts: int, tmp_path: Path) -> None:
    tried = []

    @step(version=1)
    def attempt(folder: str) -> Answer:
        tried.append(folder)
        if len(tried) < 3:
            raise error
        return Answer(value=7)

    @flow
    def once() -> Answer:
        return attempt.with_options(retry_delay_seconds=0)(str(tmp_path))

    if attempts == 1:
        with pytest.raises(type(error)):
            once()
    else:
        assert once() == Answer(value=7)
    assert len(tried) == attempts

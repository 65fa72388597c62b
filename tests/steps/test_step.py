"""What a step's output is kept under, and how it is found again."""

import json
import logging
import pickle
import shutil
from pathlib import Path

import pytest

from rnnlm.refs import Ref
from rnnlm.settings import Corpus, Tokenizer
from rnnlm.steps.runner import Local, Look, NotDoneError
from rnnlm.steps.step import Place, Step, step
from rnnlm.store import whole_folder
from rnnlm.tracking import Null


class Part(Ref):
    documents: int = 1


COMPUTED: list[str] = []


@step(version=4, run_name="train at {rate}", not_in_key=["asked_by"])
def train(place: Place, x: Ref, rate: float = 0.1, asked_by: str = "") -> Part:
    """Write a file."""
    COMPUTED.append(x.sha256)
    with whole_folder(place.folder) as folder:
        (folder / "weights").write_text(str(rate))
    return Part(path=place.folder, sha256=f"{x.sha256} trained")


@step(version=1)
def name(_: Place, value: object) -> str:
    """Return a name, which is not kept."""
    COMPUTED.append("name")
    return str(value)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    COMPUTED.clear()
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    return tmp_path


PART = Part(path=Path("/a"), sha256="abc")


def key(value: object) -> str:
    return name.key(name.arguments(value))


def test_the_key_is_made_of_content_not_of_places() -> None:
    moved, other = Part(path=Path("/b"), sha256="abc"), Part(path=Path("/a"), sha256="abd")
    assert key(PART) == key(moved)
    assert key([PART]) == key([moved])
    assert key(PART) != key(other)


def test_settings_go_into_the_key_by_value() -> None:
    tokenizers = (Tokenizer(), Tokenizer(), Tokenizer(vocabulary_size=9_000), Tokenizer(lowercase=False))
    assert len(set(map(key, tokenizers))) == 3


def test_step_and_version_tell_keys_apart() -> None:
    steps = [Step(function, version, "") for function in (train.function, name.function) for version in (1, 2)]
    assert len({one.key({"corpus": Corpus(files=["x"])}) for one in steps}) == 4


def test_for_whom_a_step_runs_does_not_matter() -> None:
    keys = {train.key(train.arguments(PART, 0.1, asked_by)) for asked_by in ("", "you")}
    assert keys == {train.key(train.arguments(PART))}
    assert train.title(train.arguments(PART, 0.2)) == "train at 0.2"


def test_what_a_step_has_made_is_found_and_not_made_again() -> None:
    runner = Local()
    first = runner.run(train, PART)
    assert first.path == train.folder(train.arguments(PART))
    assert runner.run(train, PART, asked_by="you") == first
    assert runner.submit(train, PART)() == Look().run(train, PART) == first
    assert COMPUTED == ["abc"]
    runner.run(train, PART, 0.2)
    assert COMPUTED == ["abc", "abc"]


def test_what_was_deleted_is_made_again() -> None:
    first = Local().run(train, PART)
    shutil.rmtree(first.path)
    with pytest.raises(NotDoneError, match="train has not run for this input"):
        Look().run(train, PART)
    assert Local().run(train, PART) == first
    assert COMPUTED == ["abc", "abc"]


def test_a_damaged_output_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    first = Local().run(train, PART)
    (first.path / "weights").write_text("0.2")
    with caplog.at_level(logging.WARNING, "rnnlm.steps"):
        assert Local().run(train, PART) == first
    assert COMPUTED == ["abc", "abc"]
    assert (first.path / "weights").read_text() == "0.1"
    assert f"{first.path / 'weights'} is damaged" in caplog.text


def test_outputs_of_earlier_versions_stay(home: Path) -> None:
    """They have no list of digests. It is not asked for, however often their result is written again."""
    first = Local().run(train, PART)
    (first.path / "SHA256SUMS").unlink()
    (file,) = (home / "results").iterdir()
    file.unlink()
    for _ in range(2):
        train.keep(train.arguments(PART), first)
        assert train.known(train.arguments(PART)) == first
    assert COMPUTED == ["abc"]


def test_a_store_may_be_a_link_to_another_disk(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (home / "store").symlink_to(tmp_path_factory.mktemp("large"))
    first = Local().run(train, PART)
    assert Local().run(train, PART) == first
    assert COMPUTED == ["abc"]


def test_another_digit_in_a_kept_result_is_seen(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Local().run(train, PART)
    (file,) = (home / "results").iterdir()
    file.write_text(file.read_text().replace('"documents":1', '"documents":2'))
    with caplog.at_level(logging.WARNING, "rnnlm.steps"):
        assert Local().run(train, PART) == first
    assert f"{file} is damaged, and the step runs again: it is not what was written" in caplog.text
    # Earlier versions wrote no digest.
    content = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in content.items() if key != "digest"}))
    assert train.known(train.arguments(PART)) == first


@pytest.mark.parametrize("content", ["", "{", "[]", '{"path": 1}', "\xff"])
def test_a_damaged_result_is_none(content: str, home: Path) -> None:
    Local().run(train, PART)
    (file,) = (home / "results").iterdir()
    file.write_text(content, encoding="latin-1")
    assert train.known(train.arguments(PART)) is None


def test_only_references_to_outputs_are_kept(home: Path) -> None:
    assert [Local().run(name, "x"), Local().run(name, "x")] == ["x", "x"]
    assert COMPUTED == ["name", "name"]
    assert not (home / "results").exists()


def test_another_process_finds_a_step_by_its_name() -> None:
    again = pickle.loads(pickle.dumps(train))
    assert again is train


def test_the_tracker_is_handed_to_the_step() -> None:
    seen = []

    @step(version=1)
    def look(place: Place) -> str:
        seen.append(place.tracker)
        return place.folder.name

    tracker = Null()
    assert Local(tracker).run(look).startswith("look-")
    assert seen == [tracker]

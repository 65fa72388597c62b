"""From files to an experiment at the command line: `rnnlm look` and `rnnlm new`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rnnlm.cli.app import app
from rnnlm.experiment import load_experiment
from tests.flows.conftest import write_source, write_target


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a target and a source, which the commands run in."""
    write_source(tmp_path / "news")
    write_target(tmp_path / "reviews.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path / "home"))
    return tmp_path


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_look_shows_format_columns_labels_and_warnings(folder: Path) -> None:
    found = _run("look", "reviews.csv", "news")
    assert found.exit_code == 0, found.output
    for part in ("csv, utf-8, fields separated by commas", "240", "bad 120, good 120", "label   label      label"):
        assert part in found.output
    assert "! There are 60 documents: too few" in found.output


def test_look_prints_one_json_object(folder: Path) -> None:
    found = json.loads(_run("look", "reviews.csv", "--json").output)
    (kind,) = found["kinds"]
    assert (kind["documents"], kind["labels"]) == (240, {"bad": 120, "good": 120})
    assert kind["corpus"] == {"files": ["reviews.csv"], "text": "text", "label": "label"}


def test_new_writes_an_experiment_and_overwrites_nothing(folder: Path) -> None:
    written = _run("new", "reviews.csv", "--source", "news")
    assert written.exit_code == 0, written.output
    assert written.output.endswith("Written  reviews.yaml\nRun it   rnnlm run reviews.yaml\n")
    experiment = load_experiment("reviews.yaml")
    assert (experiment.name, experiment.target.corpus.label) == ("reviews", "label")
    assert experiment.target.corpus.files == ["reviews.csv"]
    before = (folder / "reviews.yaml").read_bytes()
    again = _run("new", "reviews.csv", "--source", "news", "--label", "-")
    assert again.exit_code == 1
    assert "reviews.yaml: the file is there already." in again.output
    assert (folder / "reviews.yaml").read_bytes() == before


def test_new_asks_for_a_source_and_says_what_it_is(folder: Path) -> None:
    missing = _run("new", "reviews.csv")
    assert missing.exit_code == 1
    assert "a source is missing: the text that a language model learns before" in missing.output
    assert not (folder / "reviews.yaml").exists()


def test_paths_in_the_file_are_relative_to_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "runs of mine").mkdir()
    written = _run("new", "reviews.csv", "--source", "news", "--output", "runs of mine/first.yaml")
    assert written.exit_code == 0, written.output
    assert written.output.endswith("Run it   cd 'runs of mine' && rnnlm run first.yaml\n")
    monkeypatch.chdir(folder / "runs of mine")
    experiment = load_experiment("first.yaml")
    assert [experiment.target.corpus.files, experiment.source.corpus.files] == [["../reviews.csv"], ["../news"]]


def test_new_asks_which_of_several_columns_is_the_label(folder: Path) -> None:
    lines = (folder / "reviews.csv").read_text().splitlines()
    rows = [f"{line.rsplit(',', 1)[0]},{n % 3},{n % 2}" for n, line in enumerate(lines[1:])]
    (folder / "two.csv").write_text("\n".join(["text,mood,colour", *rows]))
    asked = _run("new", "two.csv", "--source", "news")
    assert asked.exit_code == 1
    assert "several columns may be the label: 'mood', 'colour'" in asked.output
    assert _run("new", "two.csv", "--source", "news", "--label", "mood").exit_code == 0
    assert load_experiment("two.yaml").target.corpus.label == "mood"
    assert _run("new", "two.csv", "--source", "news", "--label", "-", "--name", "alone").exit_code == 0
    assert load_experiment("alone.yaml").language_models_alone


@pytest.mark.slow
def test_what_new_writes_runs_to_a_verdict(folder: Path, prefect: None, mlflow_store: str) -> None:
    from rnnlm.flows.transfer import transfer

    assert _run("new", "reviews.csv", "--source", "news").exit_code == 0
    fewer = ["source.language_model.epochs=1", "target.language_model.epochs=1", "comparison.seeds=1"]
    report = transfer(load_experiment("reviews.yaml", [*fewer, "comparison.arms=[scratch, parameter]"]))
    assert report.verdict

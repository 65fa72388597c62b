"""An experiment from Python alone: every public name has an example that works."""

import doctest
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import rnnlm
from rnnlm.errors import ConfigError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_experiment: Callable[[Path], None]) -> Path:
    """A folder with texts, and with what earlier tests have computed."""
    folder = tmp_path_factory.mktemp("texts")
    write_experiment(folder)
    return folder


@pytest.fixture
def texts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as the working directory."""
    monkeypatch.chdir(folder)
    return folder


def failures(documented: object) -> str:
    """Run the examples of a docstring; return what went wrong."""
    said: list[str] = []
    runner = doctest.DocTestRunner()
    (test,) = doctest.DocTestFinder(recurse=False).find(documented, "rnnlm", globs={})
    assert test.examples
    runner.run(test, out=said.append)
    return "".join(said)


def test_each_public_name_has_an_example() -> None:
    examples = "".join(inspect.getdoc(one) or "" for one in (rnnlm, rnnlm.compare))
    assert [name for name in rnnlm.__all__ if f"rnnlm.{name}" not in examples] == []


@pytest.mark.parametrize("name", ["", "run", pytest.param("compare", marks=pytest.mark.slow)])
def test_the_examples_work(name: str, texts: Path) -> None:
    assert failures(getattr(rnnlm, name) if name else rnnlm) == ""


def test_the_short_form_runs_what_new_would_write(texts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnlm import library

    asked: list[Any] = []
    monkeypatch.setattr(library, "run", lambda experiment, *_, **__: asked.append(experiment))
    rnnlm.compare("news/*.txt", [Path("reviews.csv")], "stars")
    (experiment,) = asked
    assert experiment.name == "reviews"
    assert experiment.target.corpus.label == "stars"
    assert experiment.target.corpus.texts == ["text"]
    assert experiment.comparison.arms == ["scratch", "tfidf", "target_text", "parameter", "feature"]
    rnnlm.compare("news/*.txt", "reviews.csv", label="", name="alone")
    assert asked[1].language_models_alone
    assert asked[1].name == "alone"


def test_a_run_is_repeated_from_the_cache_with_the_same_bits(texts: Path) -> None:
    first = rnnlm.run("reviews.yaml", "work", progress=False)
    kept = {file: file.stat().st_mtime_ns for file in (texts / "work" / "store").rglob("*") if file.is_file()}
    again = rnnlm.run(rnnlm.load_experiment("reviews.yaml"), Path("work"), progress=False)
    assert again == first
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    # Nothing but the time that it takes tells a run elsewhere apart.
    other = rnnlm.run(yaml.safe_load(Path("reviews.yaml").read_text()), "other", progress=False)
    assert [cell.metrics for cell in other.cells] == [cell.metrics for cell in first.cells]
    assert other.digests == first.digests
    assert str(first) == "\n".join(first.sentences)
    assert "scratch" in first._repr_markdown_()
    assert not (texts / ".rnnlm").exists()


def test_neither_prefect_nor_mlflow_is_loaded(texts: Path) -> None:
    code = """
import sys, rnnlm
heavy = ("prefect", "mlflow", "tensorflow", "pandas")
assert not [name for name in heavy if name in sys.modules]
verdict = rnnlm.run("reviews.yaml", "work")
assert not [name for name in heavy[:2] if name in sys.modules]
print(verdict.report)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_file()


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rnnlm.nothing  # noqa: B018
    assert set(dir(rnnlm)) == set(rnnlm.__all__)
    assert all(inspect.getdoc(getattr(rnnlm, name)) for name in rnnlm.__all__)


def test_a_wrong_setting_is_named(texts: Path) -> None:
    with pytest.raises(ConfigError, match=r"comparison\.seeds"):
        rnnlm.run({"name": "x", "comparison": {"seeds": 0}}, "work")

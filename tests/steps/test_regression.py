"""Numbers as labels, from a file to a model in use: what differs from classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import rnnlm
from rnnlm.errors import ConfigError, DataError
from rnnlm.experiment import check_experiment
from rnnlm.inference.answer import answer
from rnnlm.inference.batch import score_files
from rnnlm.inference.judge import scores
from rnnlm.inference.signatures import signatures
from rnnlm.inference.trained import Trained
from rnnlm.library import ReportedVerdict
from rnnlm.refs import DocumentsRef
from rnnlm.report.side_by_side import Compared, side_by_side

# What a word adds to the grade: a linear model of words can learn it whole.
WORTH = {"great": 2.0, "lovely": 1.0, "plain": 0.0, "weak": -1.0, "awful": -2.0}


def write_texts(folder: Path) -> None:
    generator = np.random.default_rng(5)
    (folder / "news").mkdir()
    things = ("film", "story", "plot", "actor", "scene")
    for n in range(30):
        words = " ".join(f"the {generator.choice(things)} is {generator.choice(list(WORTH))}." for _ in range(9))
        (folder / "news" / f"{n}.txt").write_text(words, encoding="utf-8")
    rows = ["text,grade"]
    for n in range(400):
        said = generator.choice(list(WORTH), 3)
        grade = 50.0 + 10.0 * sum(WORTH[word] for word in said)
        rows.append(f"the {generator.choice(things)} is {' and '.join(said)} {n},{grade:g}")
    (folder / "grades.csv").write_text("\n".join(rows), encoding="utf-8")


def settings(folder: Path) -> dict[str, Any]:
    training = {"epochs": 2, "batch_size": 4, "window": 8, "evaluations": 1, "learning_rate": 0.02}
    shares = {"valid_share": 0.2, "test_share": 0.3}
    return {
        "name": "grades",
        "model": {"embedding": 16, "layers": 1},
        "source": {
            "corpus": {"files": [str(folder / "news")], "format": "text", **shares},
            "tokenizer": {"kind": "word", "vocabulary_size": 40},
            "language_model": training,
        },
        "target": {
            "task": "regression",
            "corpus": {"files": [str(folder / "grades.csv")], "label": "grade", **shares},
            "language_model": training,
            "regressor": {"epochs": 20, "batch_size": 16, "learning_rates": [0.02], "evaluations": 4},
        },
        "comparison": {
            "arms": ["scratch", "tfidf", "parameter", "feature"],
            "labels": [50, "all"],
            "validation": "split",  # a cross-validation has no learning curves
            "seeds": 1,
        },
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grades")
    write_texts(folder)
    return folder


@pytest.fixture(scope="module")
def verdict(folder: Path) -> ReportedVerdict:
    return rnnlm.run(settings(folder), workdir=folder / "work", progress=False)


def cell(verdict: ReportedVerdict, arm: str) -> Any:
    most = max(one.labels for one in verdict.cells)
    return next(one for one in verdict.cells if (one.arm, one.labels) == (arm, most))


def test_arms_are_judged_by_their_error_and_learn_the_numbers(verdict: ReportedVerdict) -> None:
    gains = [gain for gain in verdict.gains if gain.task == "regressor"]
    assert {(gain.metric, gain.arm) for gain in gains} == {("mae", arm) for arm in ("tfidf", "parameter", "feature")}
    for arm in ("scratch", "tfidf", "parameter"):
        assert cell(verdict, arm).metrics["spearman"] > 0.8, arm
        assert cell(verdict, arm).metrics["r2"] > 0.6, arm
    # No answer is right or wrong.
    assert {(gain.only_arm, gain.mcnemar_p) for gain in gains} == {(None, None)}
    (tradition,) = {gain.baseline for gain in verdict.tradition if gain.task == "regressor"}
    assert tradition == "tfidf"
    recommended = {one.labels: one.arm for one in verdict.recommended if one.task == "regressor"}
    assert recommended.keys() == {50, max(recommended)}
    assert any("mean absolute error" in sentence for sentence in (gain.sentence for gain in gains))
    assert not any("accuracy" in sentence or "class" in sentence for sentence in verdict.sentences), verdict.sentences


def test_the_report_shows_numbers(verdict: ReportedVerdict) -> None:
    page = verdict.report.read_text(encoding="utf-8")
    for words in (
        "<h2>Regressor</h2>",
        "mean absolute error",
        "rank correlation",
        "labels scratch needs",
    ):
        assert words in page
    found = page.partition("<h2>Repeat it</h2>")[0]  # what follows has all settings
    for words in ("accuracy", "Confusion", "temperature", "McNemar"):
        assert words not in found
    figures = {file.stem for file in (verdict.report.parent / "figures").iterdir()}
    assert {"mae", "cost", "gain", "learning_regressor"} <= figures
    example = next(example for one in verdict.examples for example in one.of_arm)
    label, right, said = (float(one.replace(",", "")) for one in (example.label, example.right, example.said))
    assert abs(right - label) < abs(said - label)
    assert f"<bdi>{example.label}</bdi></b>: the better arm said <bdi>{example.right}</bdi>" in page


def test_a_trained_model_predicts_texts_as_it_did_the_test_split(
    verdict: ReportedVerdict, folder: Path, tmp_path: Path
) -> None:
    at = folder / "work" / "store" / cell(verdict, "parameter").output
    trained = Trained.load(at)
    (best,), (worst,) = (
        answer(trained, [f"the film is {word} and {word} and {word}"], {}) for word in ("great", "awful")
    )
    assert best["value"] > 80.0
    assert worst["value"] < 20.0
    # Beyond the training labels nothing is said.
    assert best["value"] <= 110.0
    assert worst["value"] >= -10.0
    documents = DocumentsRef.model_validate_json(
        next(p.read_text() for p in (folder / "work" / "results").iterdir() if '"label_kind":"number"' in p.read_text())
    )
    table = pq.read_table(at / "predictions.parquet")
    found = scores(trained, documents, table["id"].to_pylist())
    expected = -np.abs(table["value"].to_numpy() - table["label"].to_numpy())
    np.testing.assert_allclose(found.score, expected, atol=1e-3)
    # Outside Python the same: tokens in, numbers out.
    tokens = trained.tokenizer.encode(["the film is great and weak and lovely"])
    exported = signatures(trained)["predict"](np.array(tokens, np.int32), np.array([len(tokens[0])], np.int32))
    (said,) = answer(trained, ["the film is great and weak and lovely"], {"task": "predict"})
    assert float(exported["values"][0]) == pytest.approx(said["value"], abs=1e-3)


def test_files_of_texts_get_numbers(verdict: ReportedVerdict, folder: Path, tmp_path: Path) -> None:
    from rnnlm.corpus.addresses import find
    from rnnlm.settings import Corpus

    corpus = Corpus(files=[str(folder / "grades.csv")], label="grade")
    trained = Trained.load(folder / "work" / "store" / cell(verdict, "parameter").output)
    files, _ = find(corpus, downloads=tmp_path)
    assert score_files(trained, files, corpus, tmp_path / "scored") == 400
    assert pq.read_table(tmp_path / "scored" / "scores.parquet").schema.names == ["id", "text", "value"]


def test_two_runs_of_numbers_are_put_side_by_side(verdict: ReportedVerdict, folder: Path) -> None:
    from datetime import UTC, datetime

    runs = [Compared(letter, "run", datetime(2026, 1, 1, tzinfo=UTC), verdict) for letter in "AB"]
    found = side_by_side(runs, folder / "work" / "store")
    assert ("regressor", "mean absolute error") in [(task, metric) for task, metric, _ in found.scores]


def test_wrong_settings_are_named(folder: Path) -> None:
    wrong = settings(folder)
    wrong["target"]["classifier"] = {"epochs": 3}
    with pytest.raises(ConfigError, match=r"target\.classifier: it is for the task classification"):
        check_experiment(wrong)
    of_texts = json.loads(json.dumps(settings(folder)))
    (folder / "bad.csv").write_text("text,grade\n" + "\n".join(f"text {n},{'good'}" for n in range(90)), "utf-8")
    of_texts["target"]["corpus"]["files"] = [str(folder / "bad.csv")]
    with pytest.raises(DataError, match=r"the label 'good' is not a number"):
        rnnlm.run(of_texts, workdir=folder / "work", progress=False)

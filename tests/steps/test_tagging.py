"""Tags of words, from a file to a model in use: what differs from classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import rnnlm
from rnnlm.cli.app import app
from rnnlm.errors import ConfigError, DataError
from rnnlm.experiment import check_experiment
from rnnlm.inference.answer import answer
from rnnlm.inference.batch import score_files
from rnnlm.inference.judge import scores
from rnnlm.inference.signatures import signatures
from rnnlm.inference.texts import encode_words
from rnnlm.inference.trained import Trained
from rnnlm.library import ReportedVerdict
from rnnlm.refs import DocumentsRef
from rnnlm.targets import TARGETS

# The type follows from the word before: a model has to read it.
PLACES, PEOPLE = ("in", "from", "to"), ("with", "by", "for")
NAMES = ("Lena", "Oslo", "Kim", "Rio", "Ada", "Lima", "Jo", "Rome")
VERBS = ("went", "came", "wrote", "spoke", "sang")


def sentence(generator: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return the words and tags of a sentence with two entities."""
    words, tags = ["They", str(generator.choice(VERBS))], ["O", "O"]
    for _ in range(2):
        kind, before = (("place", PLACES), ("person", PEOPLE))[int(generator.integers(2))]
        names = list(generator.choice(NAMES, int(generator.integers(1, 3))))
        words += [str(generator.choice(before)), *map(str, names)]
        tags += ["O", f"B-{kind}", *[f"I-{kind}"] * (len(names) - 1)]
    return [*words, "."], [*tags, "O"]


def write_texts(folder: Path) -> None:
    generator = np.random.default_rng(7)
    (folder / "news").mkdir()
    for n in range(40):
        text = " ".join(" ".join(sentence(generator)[0]) for _ in range(9))
        (folder / "news" / f"{n}.txt").write_text(text, encoding="utf-8")
    lines = []
    for n in range(500):
        if n % 50 == 0:
            lines.append("-DOCSTART- -X- O\n")
        words, tags = sentence(generator)
        lines.append("\n".join(f"{word} X {tag}" for word, tag in zip(words, tags, strict=True)) + "\n")
    (folder / "tagged.conll").write_text("\n".join(lines), encoding="utf-8")


def settings(folder: Path) -> dict[str, Any]:
    training = {"epochs": 3, "batch_size": 4, "window": 8, "evaluations": 1, "learning_rate": 0.02}
    shares = {"valid_share": 0.2, "test_share": 0.3}
    return {
        "name": "tags",
        "model": {"embedding": 24, "layers": 1},
        "source": {
            "corpus": {"files": [str(folder / "news")], "format": "text", **shares},
            "tokenizer": {"kind": "bpe", "vocabulary_size": 300},
            "language_model": training,
        },
        "target": {
            "task": "tagging",
            "corpus": {"files": [str(folder / "tagged.conll")], "label": -1, "drop_duplicates": False, **shares},
            "language_model": training,
            "tagger": {"epochs": 15, "batch_size": 16, "learning_rates": [0.02], "evaluations": 4},
        },
        "comparison": {
            "arms": ["scratch", "crf", "parameter", "feature", "backward", "both", "mean"],
            "labels": [60, "all"],
            "seeds": 1,
        },
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tags")
    write_texts(folder)
    return folder


@pytest.fixture(scope="module")
def verdict(folder: Path) -> ReportedVerdict:
    return rnnlm.run(settings(folder), workdir=folder / "work", progress=False)


def cell(verdict: ReportedVerdict, arm: str) -> Any:
    most = max(one.labels for one in verdict.cells)
    return next(one for one in verdict.cells if (one.arm, one.labels) == (arm, most))


def documents_of(folder: Path) -> DocumentsRef:
    results = [file.read_text() for file in (folder / "work" / "results").iterdir()]
    return DocumentsRef.model_validate_json(next(text for text in results if '"label_kind":"tags"' in text))


def test_arms_are_judged_by_entities_and_learn_to_find_them(verdict: ReportedVerdict) -> None:
    gains = [gain for gain in verdict.gains if gain.task == "tagger"]
    assert {gain.metric for gain in gains} == {"entity_f1"}
    for arm in ("scratch", "crf", "parameter", "mean"):
        assert cell(verdict, arm).metrics["entity_f1"] > 0.9, arm
        assert cell(verdict, arm).metrics["token_accuracy"] > 0.95, arm
    assert {gain.mcnemar_p for gain in gains} == {None}
    (tradition,) = {gain.baseline for gain in verdict.tradition if gain.task == "tagger"}
    assert tradition == "crf"
    assert any("points of entity F1" in gain.sentence for gain in gains)
    assert not any("accuracy" in sentence or "class" in sentence for sentence in verdict.sentences), verdict.sentences


def test_the_sentences_of_a_document_are_in_one_split(verdict: ReportedVerdict, folder: Path) -> None:
    table = pq.read_table(documents_of(folder).file, columns=["group", "split"])
    splits: dict[str, set[str]] = {}
    for group, split in zip(table["group"].to_pylist(), table["split"].to_pylist(), strict=True):
        splits.setdefault(group, set()).add(split)
    assert len(splits) == 10
    assert all(len(found) == 1 for found in splits.values())


def test_the_report_shows_entities(verdict: ReportedVerdict) -> None:
    page = verdict.report.read_text(encoding="utf-8")
    for words in ("<h2>Tagger</h2>", "entity F1", "precision", "recall", "token accuracy"):
        assert words in page
    found = page.partition("<h2>Repeat it</h2>")[0]  # what follows has all settings
    for words in ("Confusion", "McNemar", "TF-IDF"):
        assert words not in found
    figures = {file.stem for file in (verdict.report.parent / "figures").iterdir()}
    assert {"entity_f1", "cost", "gain", "learning_tagger"} <= figures


def test_the_report_shows_documents_with_the_entities_that_one_arm_finds(verdict: ReportedVerdict) -> None:
    assert [one.labels for one in verdict.examples] == sorted({one.labels for one in verdict.cells if one.labels})
    shown = [example for one in verdict.examples for example in (*one.of_arm, *one.of_baseline)]
    page = verdict.report.read_text(encoding="utf-8")
    assert shown
    assert "is better: " in page
    assert "Only scratch is right" not in page
    for example in shown:
        assert example.said != example.right != ""
        assert example.probability is None
        assert example.label == "no entity" or all(
            entity.rpartition(" (")[0] in example.text and entity.endswith(")") for entity in example.label.split(", ")
        )


def test_a_trained_model_tags_texts_as_it_did_the_test_split(verdict: ReportedVerdict, folder: Path) -> None:
    at = folder / "work" / "store" / cell(verdict, "parameter").output
    trained = Trained.load(at)
    (said,) = answer(trained, ["They went to Kim Oslo with Rio."], {})
    assert said["words"] == ["They", "went", "to", "Kim", "Oslo", "with", "Rio", "."]
    assert said["entities"] == [
        {"type": "place", "text": "Kim Oslo", "start": 13, "end": 21},
        {"type": "person", "text": "Rio", "start": 27, "end": 30},
    ]
    assert len(said["probabilities"]) == 8
    table, target = pq.read_table(at / "predictions.parquet"), TARGETS["tagger"]
    found = scores(trained, documents_of(folder), table["id"].to_pylist())
    said_before, labels = target.said(table), target.labels_of(table)
    np.testing.assert_allclose(found.score, target.scores(said_before, labels), atol=1e-3)
    assert np.array_equal(np.asarray(found.counts), np.asarray(target.counts(said_before, labels)))
    # Outside Python the same: tokens and places in, probabilities out.
    text = encode_words(trained.tokenizer, [said["words"]])
    places = np.stack([text.words[0], np.zeros(8, np.int32)], axis=1)  # type: ignore[index]
    exported = signatures(trained)["tag"](text.document(0)[None].astype(np.int32), places)["probabilities"].numpy()
    np.testing.assert_allclose(exported.max(axis=1), said["probabilities"], atol=1e-4)
    # However long it is, a text is read whole.
    (_, long) = answer(trained, ["", "They went to Rio. " * 600], {})
    assert len(long["words"]) == 3_000
    assert len(long["entities"]) > 500


def test_texts_and_files_of_words_are_tagged(verdict: ReportedVerdict, folder: Path, tmp_path: Path) -> None:
    from rnnlm.corpus.addresses import find
    from rnnlm.settings import Corpus

    corpus = Corpus(files=[str(folder / "tagged.conll")])
    at = folder / "work" / "store" / cell(verdict, "parameter").output
    files, _ = find(corpus, downloads=tmp_path)
    assert score_files(Trained.load(at), files, corpus, tmp_path / "scored") == 500
    table = pq.read_table(tmp_path / "scored" / "scores.parquet")
    assert table.schema.names == ["id", "text", "words", "tags", "probabilities", "entities"]
    assert all(len(row["words"]) == len(row["tags"]) for row in table.to_pylist())
    said = CliRunner().invoke(app, ["tag", str(at), "They spoke by Jo in Lima."])
    assert said.output.strip() == "They spoke by [person Jo] in [place Lima]."
    of_file = CliRunner().invoke(app, ["tag", str(at), "--file", str(folder / "tagged.conll"), "--json"])
    rows = [json.loads(line) for line in of_file.output.splitlines()]
    assert [row["tags"] for row in rows] == table["tags"].to_pylist()


def test_wrong_settings_and_tags_are_named(folder: Path) -> None:
    wrong = settings(folder)
    wrong["comparison"]["arms"] = ["scratch", "tfidf"]
    with pytest.raises(ConfigError, match=r"`tfidf` is not for the task tagging, which has `crf`"):
        check_experiment(wrong)
    del wrong["comparison"]["arms"]
    assert check_experiment(wrong).comparison.arms[1] == "crf"
    for lines, problem in (
        ("Rome\tX-place\n\n", r"bad\.conll, line 1: the tag 'X-place' marks no entity"),
        ("Rome\n\n", r"bad\.conll, line 1: there is 1 of the 2 columns that are read"),
        ("".join(f"Rome{n}\tO\n\n" for n in range(60)), r"at least two different labels; there is only 'O'"),
    ):
        (folder / "bad.conll").write_text(lines, encoding="utf-8")
        wrong["target"]["corpus"]["files"] = [str(folder / "bad.conll")]
        with pytest.raises(DataError, match=problem):
            rnnlm.run(wrong, workdir=folder / "work", progress=False)


def test_a_document_longer_than_a_model_reads_is_named_before_anything_is_trained(folder: Path) -> None:
    short = settings(folder)
    short["target"]["tagger"]["max_tokens"] = 8
    with pytest.raises(DataError, match=r"tagged\.conll, line \d+: the document has \d+ tokens, and target\.tagger"):
        rnnlm.run(short, workdir=folder / "work", progress=False)

"""A source with labels of its own: what they give to a model of the recurrent kind, and to a linear one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnlm
from rnnlm.errors import ConfigError


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Reviews of books, and of films: the same words say how good they are."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(1)
    words = {"good": ["lovely", "great", "fine"], "bad": ["dull", "poor", "weak"]}
    for name, number in (("book", 240), ("film", 200)):
        rows = [
            f"this {name} is {' and '.join(generator.choice(words[label], 2))} {n},{label}"
            for n, label in enumerate(["good", "bad"] * (number // 2))
        ]
        (tmp_path / f"{name}s.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    shares = {"label": "label", "valid_share": 0.2, "test_share": 0.3}
    training = {"epochs": 1, "min_steps": 8, "batch_size": 8, "evaluations": 1, "learning_rates": [0.02]}
    return {
        "name": "books-to-films",
        "model": {"embedding": 8, "layers": 1},
        "source": {
            "task": "classification",
            "corpus": {"files": ["books.csv"], **shares},
            "tokenizer": {"kind": "word", "vocabulary_size": 60},
            "classifier": training,
        },
        "target": {
            "corpus": {"files": ["films.csv"], **shares},
            "language_model": None,
            "classifier": training,
        },
        "comparison": {"arms": ["scratch", "tfidf", "tfidf_source", "parameter"], "labels": [12], "seeds": 3},
    }


def test_transfer_is_judged_against_a_linear_model_that_learnt_the_same_labels(settings: dict[str, Any]) -> None:
    verdict = rnnlm.run(settings, "work")
    scores = {cell.arm: cell.metrics for cell in verdict.cells if cell.seed == 1}
    # Twelve films tell little of six words; 168 books have shown them all.
    assert scores["tfidf_source"]["nll"] < scores["tfidf"]["nll"]
    assert scores["tfidf_source"]["valid/source_weight"] == 1.0
    against = {(gain.arm, gain.baseline) for gain in verdict.tradition}
    assert against == {(arm, rival) for arm in ("scratch", "parameter") for rival in ("tfidf", "tfidf_source")}
    assert [said for said in verdict.sentences if "that learnt the source's labels, too." in said]
    assert {one.labels: one.arm for one in verdict.recommended}.keys() == set(), "twelve labels choose nothing"
    assert {labels: way.way for labels, way in verdict.validation.items()} == {12: "cross-validation"}


def test_a_class_that_the_source_lacks_is_named_before_anything_is_trained(settings: dict[str, Any]) -> None:
    books = Path("books.csv")
    books.write_text(books.read_text(encoding="utf-8").replace(",good", ",positive"), encoding="utf-8")
    problem = (
        r"no training document of the source is of the class 'good'.*The source has .*positive.*Leave `tfidf_source`"
    )
    with pytest.raises(ConfigError, match=problem):
        rnnlm.run(settings, "work")

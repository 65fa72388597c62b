"""A source with labels of its own: what they give to a model of the recurrent kind, and to a linear one."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnlm
from rnnlm.errors import ConfigError
from rnnlm.experiment import check_experiment


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
        "comparison": {"arms": ["scratch", "tfidf", "tfidf_source", "source", "parameter"], "labels": [12], "seeds": 3},
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


def test_the_source_classifier_is_an_arm_and_its_head_is_where_training_starts(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On films as on books, the same words are good: without a film's label it is as good as it is on books."""
    import pyarrow.parquet as pq

    from rnnlm.model.checkpoint import Checkpoint
    from rnnlm.steps.runner import Local
    from rnnlm.steps.texts import prepare_texts
    from rnnlm.store import working_in
    from rnnlm.transfer.fit_target import fit_target_model
    from rnnlm.transfer.target_fit import TargetFit

    settings["source"]["classifier"] = settings["source"]["classifier"] | {"epochs": 12}
    settings["comparison"] |= {"arms": ["scratch", "source", "direct"], "labels": [12, "all"]}
    verdict = rnnlm.run(settings, "work")
    cells = {(cell.arm, cell.labels, cell.seed): cell for cell in verdict.cells}
    of_source = [cell for cell in verdict.cells if cell.arm == "source"]
    assert {cell.metrics["accuracy"] for cell in of_source} == {1.0}
    assert len(of_source) == 3 + 1
    assert cells["scratch", 12, 1].metrics["accuracy"] < 1.0
    # What the arm says is what the source's own checkpoint says of the film reviews.
    with working_in(Path("work")):
        experiment = check_experiment(settings)
        texts = prepare_texts(experiment, Local())
        (folder,) = [one.parent for one in Path("work/store").glob("pretrain-*/model.json")]
        said = pq.read_table(Path("work/store") / of_source[0].output / "predictions.parquet")["probabilities"]
        assert np.asarray(said.to_pylist()).sum(axis=1) == pytest.approx(1.0)
        # A training that changes nothing has the source's head and answers.
        training = experiment.target.classifier.model_copy(update={"learning_rates": [1e-9], "weight_decay": 0.0})
        fit = TargetFit(experiment.model, texts.tokens, training, 1, labels=12, start=folder)
        fit_target_model(fit, tmp_path / "kept")
        kept, source = Checkpoint.load(tmp_path / "kept").weights, Checkpoint.load(folder).weights
        assert kept["head/kernel"] == pytest.approx(source["head/kernel"], abs=1e-6)
        # A frozen encoder's head is pulled towards it: with a firm penalty it stays there.
        monkeypatch.setattr("rnnlm.transfer.fit_head.STRENGTHS", (1e-9,))
        fit_target_model(dataclasses.replace(fit, trainable="head"), tmp_path / "firm")
        firm = Checkpoint.load(tmp_path / "firm").weights
        assert firm["head/kernel"] == pytest.approx(source["head/kernel"], abs=1e-4)
        # States of another scale, and other classes, begin with a head of their own.
        otherwise = training.model_copy(update={"normalise": False})
        fit_target_model(dataclasses.replace(fit, training=otherwise), tmp_path / "otherwise")
        assert abs(Checkpoint.load(tmp_path / "otherwise").weights["head/kernel"] - source["head/kernel"]).max() > 0.01
        other = texts.tokens.model_copy(update={"labels": ["bad", "fair"]})
        fit_target_model(dataclasses.replace(fit, tokens=other), tmp_path / "anew")
        assert abs(Checkpoint.load(tmp_path / "anew").weights["head/kernel"] - source["head/kernel"]).max() > 0.01


@pytest.mark.parametrize(
    ("field", "value"), [("source", {"task": "language_model"}), ("target", {"task": "regression"})]
)
def test_the_source_classifier_needs_classes_on_both_sides(
    settings: dict[str, Any], field: str, value: dict[str, str]
) -> None:
    settings["comparison"]["arms"] = ["scratch", "source"]
    settings[field] |= value
    settings[field].pop("classifier")
    with pytest.raises(ConfigError, match=r"`source` asks the source's classifier: source\.task and target\.task have"):
        rnnlm.run(settings, "work")


def test_of_more_classes_those_of_the_target_share_the_probability(settings: dict[str, Any]) -> None:
    books = Path("books.csv")
    lines = books.read_text(encoding="utf-8").splitlines()
    books.write_text("\n".join([*lines, *(f"a book of maps {n},none" for n in range(60))]), encoding="utf-8")
    settings["source"]["classifier"] = settings["source"]["classifier"] | {"epochs": 12}
    settings["comparison"] |= {"arms": ["scratch", "source"], "labels": ["all"], "seeds": 1}
    verdict = rnnlm.run(settings, "work")
    (cell,) = [cell for cell in verdict.cells if cell.arm == "source"]
    assert cell.metrics["accuracy"] == 1.0

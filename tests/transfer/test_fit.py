"""The tries of one cell: every arm has as many, what differs between them is what it can use."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
import pytest

from rnnlm.corpus import ingest
from rnnlm.experiment import Validation
from rnnlm.model.checkpoint import Checkpoint, Weights, get_weights
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import TokensRef
from rnnlm.settings import ClassifierTraining, Corpus, FineTuning, Model, Tokenizer, Trainable
from rnnlm.targets import TASKS
from rnnlm.targets.calibration import calibration_metrics, fit_temperature
from rnnlm.tokens import Text, tokenize
from rnnlm.training.target_model import pooled_features, predict, train_target_model
from rnnlm.transfer.cell import read_documents
from rnnlm.transfer.fit_head import _kept_states
from rnnlm.transfer.fit_target import fit_target_model
from rnnlm.transfer.target_fit import TargetFit

WAYS = [FineTuning(), FineTuning(unfreezing="gradual", stay_near=1.0), FineTuning(average=True)]
MODEL = Model(embedding=8, hidden=8, layers=2)
TRAINING = ClassifierTraining(
    epochs=1, min_steps=4, evaluations=1, batch_size=8, learning_rates=[0.01, 0.02], fine_tuning=WAYS, select="nll"
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokensRef:
    folder = tmp_path_factory.mktemp("fit")
    lines = [f"the film is {'good' if n % 2 else 'bad'} {n},{n % 2}" for n in range(80)]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    corpus = Corpus(files=[str(folder / "reviews.csv")], label="label", valid_share=0.2, test_share=0.2)
    documents = ingest(corpus, folder / "documents", downloads=folder)
    return tokenize(documents, Tokenizer(vocabulary_size=40), folder / "tokens")


@pytest.mark.parametrize(("pretrained", "trainable"), [(False, "all"), (True, "all"), (True, "maps")])
def test_every_arm_has_as_many_tries(
    pretrained: bool, trainable: Trainable, tokens: TokensRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cell(name: str, start: Path | None, training: ClassifierTraining, trainable: Trainable) -> dict[str, float]:
        fit = TargetFit(MODEL, tokens, training, 3, start=start, trainable=trainable)
        return fit_target_model(fit, tmp_path / name).metrics

    start = None
    if pretrained:
        cell("source", None, TRAINING.model_copy(update={"fine_tuning": [FineTuning()]}), "all")
        start = tmp_path / "source"
    seen: list[tuple[int, float, FineTuning, Weights]] = []
    train = train_target_model

    def recorded(model: Any, documents: Any, valid: Any, rate: float, **rest: Any) -> Any:
        seen.append((rest["seed"], rate, rest["fine_tuning"], get_weights(model)))
        return train(model, documents, valid, rate, **rest)

    monkeypatch.setattr("rnnlm.transfer.fit_target.train_target_model", recorded)
    metrics = cell("cell", start, TRAINING, trainable)
    assert [rate for _, rate, _, _ in seen] == [0.01, 0.02] * 3
    heads = [weights["head/kernel"].tobytes() for _, _, _, weights in seen]
    if pretrained and trainable == "all":
        assert [way for _, _, way, _ in seen] == [way for way in WAYS for _ in range(2)]
        assert {seed for seed, _, _, _ in seen} == {3}
        assert len(set(heads)) == 1
    else:
        assert {way for _, _, way, _ in seen} == {FineTuning()}
        assert len({seed for seed, _, _, _ in seen}) == 3
        # The start has the target's classes, so that its head is where every try begins.
        assert len(set(heads)) == (1 if pretrained else 3)
    assert seen[0][0] == 3  # the first try is that of a cell with one
    if start is not None:
        encoder = Checkpoint.load(start).weights["lstm_0/kernel"]
        for _, _, _, weights in seen:
            np.testing.assert_array_equal(weights["lstm_0/kernel"], encoder)
    assert metrics["valid/fine_tuning"] in (0.0, 1.0, 2.0)


def test_a_frozen_encoder_reads_the_test_split_once_and_labels_once_a_cell(
    tokens: TokensRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cells of other seeds and numbers of labels get what was computed; another encoder gets its own.

    Eight strengths of the penalty are tried in each.
    """

    def cell(name: str, start: Path | None, trainable: Trainable, labels: int, seed: int) -> dict[str, float]:
        training = TRAINING.model_copy(update={"fine_tuning": [FineTuning()]})
        fit = TargetFit(MODEL, tokens, training, seed, labels=labels, start=start, trainable=trainable)
        return fit_target_model(fit, tmp_path / name).metrics

    for seed in (1, 2):
        cell(f"source {seed}", None, "all", 20, seed)
    read: list[int] = []

    def recorded(model: TargetModel, documents: Text) -> np.ndarray:
        read.append(len(documents))
        return pooled_features(model, documents)

    monkeypatch.setattr("rnnlm.transfer.fit_head.pooled_features", recorded)
    valid, test = (len(read_documents(tokens, split, labelled=True)) for split in ("valid", "test"))
    _kept_states.cache_clear()
    first = cell("one", tmp_path / "source 1", "head", 20, 1)
    cell("two", tmp_path / "source 1", "head", 30, 2)
    assert read == [test, 20 + valid, 30 + valid]
    other = cell("three", tmp_path / "source 2", "head", 20, 1)
    assert read[3:] == [test, 20 + valid]
    assert first["nll"] != other["nll"]
    assert cell("again", tmp_path / "source 1", "head", 20, 1) == first


def test_the_validation_split_chooses_the_temperature(tokens: TokensRef, tmp_path: Path) -> None:
    """The metrics are those of the probabilities on disk, which are without it; the checkpoint holds it."""
    training = TRAINING.model_copy(update={"learning_rates": [0.02], "fine_tuning": [FineTuning()]})
    metrics = fit_target_model(TargetFit(MODEL, tokens, training, 3), tmp_path / "cell").metrics
    checkpoint = Checkpoint.load(tmp_path / "cell")
    temperature = metrics["valid/temperature"]
    assert checkpoint.description.temperature == temperature
    model = checkpoint.build()
    assert isinstance(model, TargetModel)
    valid, test = (read_documents(tokens, split, labelled=True) for split in ("valid", "test"))
    assert temperature == pytest.approx(fit_temperature(predict(model, valid), valid.labels))
    probabilities = TASKS["classification"].said(pq.read_table(tmp_path / "cell" / "predictions.parquet"))
    np.testing.assert_allclose(probabilities, predict(model, test), rtol=1e-6)
    expected = calibration_metrics(probabilities, test.labels, temperature)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("way", ["held out", "cross-validation"])
def test_lp_ft_starts_where_feature_transfer_ends(
    way: Literal["held out", "cross-validation"], tokens: TokensRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a cross-validation each fold has a head that knows only what the fold is trained on."""
    training = TRAINING.model_copy(update={"fine_tuning": [FineTuning(average=True)]})

    def cell(name: str, trainable: Trainable, start: Path | None, labels: int) -> dict[str, float]:
        validation = Validation(way=way, documents=labels if way == "cross-validation" else 10) if start else None
        fit = TargetFit(
            MODEL, tokens, training, 3, labels=labels, validation=validation, start=start, trainable=trainable
        )
        return fit_target_model(fit, tmp_path / name).metrics

    cell("source", "all", None, 40)
    # A source with other classes: its head says nothing to the target.
    description = tmp_path / "source" / "model.json"
    (tmp_path / "source" / "SHA256SUMS").unlink()
    description.write_text(json.dumps(json.loads(description.read_text()) | {"labels": ["a", "b"]}))
    assert Checkpoint.load(tmp_path / "source").description.labels == ["a", "b"]
    seen: list[tuple[list[str], Weights]] = []
    train = train_target_model

    def recorded(model: Any, documents: Text, *rest: Any, **named: Any) -> Any:
        seen.append((documents.document_ids.tolist(), get_weights(model)))
        return train(model, documents, *rest, **named)

    monkeypatch.setattr("rnnlm.transfer.fit_target.train_target_model", recorded)
    solved = cell("solved", "head", tmp_path / "source", 30)
    assert not seen
    found = cell("found", "solved head, then all", tmp_path / "source", 30)
    rates, folds = len(TRAINING.learning_rates), 5 if way == "cross-validation" else 1
    assert len(seen) == rates * folds + (way == "cross-validation")
    last, feature = seen[-1][1], Checkpoint.load(tmp_path / "solved").weights
    assert last.keys() == feature.keys()
    for name, weight in last.items():
        np.testing.assert_array_equal(weight, feature[name])
    assert found["nll"] != solved["nll"]  # it goes on from there
    if way == "cross-validation":
        heads = [weights["head/kernel"].tobytes() for _, weights in seen[:folds]]
        assert len(set(heads)) == folds
        assert heads * rates == [weights["head/kernel"].tobytes() for _, weights in seen[:-1]]
        assert all(set(documents) < set(seen[-1][0]) for documents, _ in seen[:-1])

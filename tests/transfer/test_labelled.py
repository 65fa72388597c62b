"""Which labelled documents a cell is trained on, and which choose its model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.corpus import ingest
from rnnlm.evaluation.predictions import PREDICTIONS
from rnnlm.experiment import Validation, all_labels, validation_of
from rnnlm.model.checkpoint import Checkpoint, get_weights, set_weights
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import DocumentsRef, TokensRef
from rnnlm.settings import ClassifierTraining, Corpus, FineTuning, Model, Tokenizer
from rnnlm.targets import TASKS
from rnnlm.targets.calibration import fit_temperature
from rnnlm.tokens import Text, tokenize
from rnnlm.training.target_model import pooled_features, predict, train_target_model
from rnnlm.transfer.cell import VALID, read_documents
from rnnlm.transfer.ensemble import fit_ensemble
from rnnlm.transfer.fit_target import fit_target_model
from rnnlm.transfer.subsets import Labelled, dealt_to_folds, labelled_documents
from rnnlm.transfer.target_fit import TargetFit
from rnnlm.transfer.tradition import fit_solved

CLASSES = TASKS["classification"]
MODEL = Model(embedding=8, hidden=8)
TRAINING = ClassifierTraining(epochs=1, min_steps=4, evaluations=2, batch_size=8, learning_rates=[0.01, 0.02])
CROSSED = Validation(way="cross-validation", documents=60)
HELD_OUT = Validation(way="held out", documents=20)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> tuple[DocumentsRef, TokensRef]:
    folder = tmp_path_factory.mktemp("labelled")
    generator = np.random.default_rng(1)
    lines = [
        f"the film is {'good' if (n % 3 == 0) != (generator.random() < 0.2) else 'bad'} {n},{int(n % 3 == 0)}"
        for n in range(200)
    ]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    corpus = Corpus(files=[str(folder / "reviews.csv")], label="label", valid_share=0.25, test_share=0.3)
    documents = ingest(corpus, folder / "documents", downloads=folder)
    return documents, tokenize(documents, Tokenizer(kind="word", vocabulary_size=300), folder / "tokens")


@pytest.fixture
def tokens(reviews: tuple[DocumentsRef, TokensRef]) -> TokensRef:
    return reviews[1]


def ids(text: Text) -> set[str]:
    assert len(set(text.document_ids)) == len(text)
    return set(text.document_ids)


def drawn(tokens: TokensRef, labels: int, validation: Validation, seed: int = 3) -> Labelled:
    return labelled_documents(CLASSES, tokens, labels, seed, validation)


@pytest.mark.parametrize("labels", [2, 3, 7, 60])
@pytest.mark.parametrize("seed", [1, 2])
def test_in_a_cross_validation_each_label_chooses_once_and_all_are_trained_on(
    labels: int, seed: int, tokens: TokensRef
) -> None:
    found = drawn(tokens, labels, Validation(way="cross-validation", documents=labels), seed)
    assert len(ids(found.train)) == labels
    assert ids(found.train) == ids(found.valid)
    assert len(found.folds) == min(5, labels)
    for train, valid in found.folds:
        assert ids(train) | ids(valid) == ids(found.train)
        assert not ids(train) & ids(valid)
    sizes = [len(valid) for _, valid in found.folds]
    assert max(sizes) - min(sizes) <= 1
    assert [name for _, valid in found.folds for name in valid.document_ids] == found.valid.document_ids.tolist()
    # Nothing of a document is lost where the splits are put together.
    whole = {split: read_documents(tokens, split, labelled=True) for split in ("train", "valid")}
    for text in (found.train, found.valid, found.folds[0][0]):
        for n, name in enumerate(text.document_ids):
            split = next(one for one in whole.values() if name in one.document_ids)
            place = split.document_ids.tolist().index(name)
            np.testing.assert_array_equal(text.document(n), split.document(place))
            assert text.labels[n] == split.labels[place]
            assert text.n_characters[n] == split.n_characters[place]


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=40), seed=st.integers(0, 99), data=st.data())
def test_no_group_is_in_two_folds_and_each_document_in_one(sizes: list[int], seed: int, data: st.DataObject) -> None:
    groups = np.repeat(data.draw(st.permutations(range(len(sizes)))), sizes)
    strata = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(groups), max_size=len(groups))))
    found = dealt_to_folds(strata, groups, seed)
    assert sorted(np.concatenate(found).tolist()) == list(range(len(groups)))
    assert all(len(fold) for fold in found)
    if len(sizes) > 1:
        assert len(found) == min(5, len(sizes))
        assert sum(len(np.unique(groups[fold])) for fold in found) == len(sizes)
        # The groups of each stratum, by their first documents, are spread evenly.
        _, first = np.unique(groups, return_index=True)
        for stratum in range(3):
            counts = [np.isin(first[strata[first] == stratum], fold).sum() for fold in found]
            assert max(counts) - min(counts) <= 1
    elif len(groups) > 1:
        assert len(found) == min(5, len(groups)), "one group alone is divided"


def test_the_groups_are_those_of_the_documents(tmp_path: Path) -> None:
    rows = [f"the film is {'good' if n % 2 else 'bad'} {n},{n % 2},film {n // 4 if n % 8 else ''}" for n in range(120)]
    rows = [row.removesuffix("film ") for row in rows]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label,film", *rows]), encoding="utf-8")
    corpus = Corpus(files=[str(tmp_path / "reviews.csv")], label="label", group="film", valid_share=0.2, test_share=0.3)
    documents = ingest(corpus, tmp_path / "documents", downloads=tmp_path)
    tokens = tokenize(documents, Tokenizer(kind="word", vocabulary_size=300), tmp_path / "tokens")
    validation = Validation(way="cross-validation", documents=50)
    found = labelled_documents(CLASSES, tokens, 50, 3, validation, documents)
    table = pq.read_table(documents.file, columns=["id", "group"])
    group = dict(zip(table["id"].to_pylist(), table["group"].to_pylist(), strict=True))
    folds_of: dict[str, set[int]] = {}
    for n, (_, valid) in enumerate(found.folds):
        for name in valid.document_ids:
            if group[name] is not None:
                folds_of.setdefault(group[name], set()).add(n)
    assert max(len([name for name in group.values() if name == one]) for one in folds_of) > 1
    assert {len(places) for places in folds_of.values()} == {1}


def test_classes_and_splits_have_their_shares_in_each_fold(tokens: TokensRef) -> None:
    found = drawn(tokens, 60, CROSSED)
    whole = [read_documents(tokens, split, labelled=True) for split in ("train", "valid")]
    share = len(whole[1]) / sum(map(len, whole))
    assert abs(len(ids(found.train) & ids(whole[1])) - 60 * share) <= 0.5
    positive = [int(valid.labels.sum()) for _, valid in found.folds]
    assert max(positive) - min(positive) <= 1


def test_what_is_held_out_is_of_the_validation_split_and_is_counted(tokens: TokensRef) -> None:
    whole = {split: read_documents(tokens, split, labelled=True) for split in ("train", "valid")}
    found = drawn(tokens, 80, HELD_OUT)
    assert (len(found.train), len(found.valid)) == (60, 20)
    assert ids(found.train) < ids(whole["train"])
    assert ids(found.valid) < ids(whole["valid"])
    assert found.folds == ((found.train, found.valid),)
    # A smaller number of labels is inside a larger one, on both sides.
    fewer = drawn(tokens, 40, Validation(way="held out", documents=10))
    assert ids(fewer.train) < ids(found.train)
    assert ids(fewer.valid) < ids(found.valid)


@pytest.mark.parametrize("valid", [0, 1, 60, 500, 5_000])
def test_labels_and_those_that_choose_are_there(valid: int) -> None:
    labelled = {"train": 9_000, "valid": valid, "test": 10}
    everything = all_labels(True, labelled)
    assert everything == 9_000 + valid
    for labels in (2, 30, 999, 1_000, 1_001, everything - 1, everything):
        found = validation_of(True, labels, labelled)
        if found.way == "cross-validation":
            assert labels <= 1_000
            assert found.documents == labels
        else:
            assert min(100, valid) <= found.documents <= valid
            assert labels - found.documents <= 9_000
    assert validation_of(True, everything, labelled) == Validation(way="held out", documents=valid)
    assert validation_of(False, 500, labelled) == Validation(way="split", documents=valid)


def test_no_model_is_chosen_by_what_it_was_trained_on(
    tokens: TokensRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[set[str], set[str] | None, float]] = []
    train = train_target_model

    def recorded(model: Any, documents: Text, valid: Text | None, rate: float, **rest: Any) -> Any:
        trained.append((ids(documents), None if valid is None else ids(valid), rate))
        return train(model, documents, valid, rate, **rest)

    monkeypatch.setattr("rnnlm.transfer.fit_target.train_target_model", recorded)
    fit = TargetFit(MODEL, tokens, TRAINING, 3, labels=60, validation=CROSSED)
    metrics = fit_target_model(fit, tmp_path / "cell").metrics
    *folds, last = trained
    assert [rate for _, _, rate in folds] == [0.01] * 5 + [0.02] * 5
    assert all(valid is not None and not documents & valid for documents, valid, _ in folds)
    whole = drawn(tokens, 60, CROSSED)
    assert last == (ids(whole.train), None, metrics["valid/learning_rate"])


def test_a_cross_validated_model_is_scored_as_its_folds_and_used_as_trained_on_all(
    tokens: TokensRef, tmp_path: Path
) -> None:
    """Each part is done once more by itself."""
    training = TRAINING.model_copy(update={"learning_rates": [0.02]})
    metrics = fit_target_model(
        TargetFit(MODEL, tokens, training, 3, labels=60, validation=CROSSED), tmp_path / "cell"
    ).metrics
    whole, once = drawn(tokens, 60, CROSSED), training.model_copy(update={"evaluations": 1})
    model = TargetModel(MODEL, once, tokens.vocabulary_size, 2, 3)
    start = get_weights(model)

    def trained(documents: Text, valid: Text, asked: Text) -> np.ndarray:
        set_weights(model, start)
        train_target_model(model, documents, valid, 0.02, trainable="all", seed=3)
        return predict(model, asked)

    said = np.concatenate([trained(documents, valid, valid) for documents, valid in whole.folds])
    of_cell = CLASSES.said(pq.read_table(tmp_path / "cell" / VALID))
    np.testing.assert_allclose(of_cell, said, atol=1e-6)
    assert metrics["valid/accuracy"] == pytest.approx((said.argmax(1) == whole.valid.labels).mean())
    assert metrics["valid/temperature"] == pytest.approx(fit_temperature(of_cell, whole.valid.labels), rel=1e-3)
    test = read_documents(tokens, "test", labelled=True)
    # With one evaluation it makes no difference what is evaluated.
    of_test = trained(whole.train, test, test)
    np.testing.assert_allclose(
        CLASSES.said(pq.read_table(tmp_path / "cell" / "predictions.parquet")), of_test, atol=1e-6
    )
    used = Checkpoint.load(tmp_path / "cell").build()
    assert isinstance(used, TargetModel)
    np.testing.assert_allclose(predict(used, test), of_test, atol=1e-6)
    assert Checkpoint.load(tmp_path / "cell").description.classifier == training
    (point,) = json.loads((tmp_path / "cell" / "history.json").read_text())
    assert point["metrics"]["accuracy"] == metrics["valid/accuracy"]


def test_the_share_of_an_average_is_chosen_by_the_folds(tokens: TokensRef, tmp_path: Path) -> None:
    start = tmp_path / "start"
    fit_target_model(TargetFit(MODEL, tokens, TRAINING, 4), start)
    training = TRAINING.model_copy(update={"fine_tuning": [FineTuning(average=True)], "learning_rates": [0.02]})
    fit = TargetFit(MODEL, tokens, training, 3, labels=60, validation=CROSSED, start=start)
    metrics = fit_target_model(fit, tmp_path / "cell").metrics
    share = metrics["valid/share"]
    assert share in (1.0, 0.75, 0.5, 0.25)
    before, after = (Checkpoint.load(folder).weights["lstm_0/kernel"] for folder in (start, tmp_path / "cell"))
    alone = TargetFit(
        MODEL,
        tokens,
        training.model_copy(update={"fine_tuning": [FineTuning()]}),
        3,
        labels=60,
        validation=CROSSED,
        start=start,
    )
    fit_target_model(alone, tmp_path / "alone")
    trained = Checkpoint.load(tmp_path / "alone").weights["lstm_0/kernel"]
    np.testing.assert_allclose(after, before + share * (trained - before), atol=1e-6)


@pytest.mark.parametrize("validation", [CROSSED, HELD_OUT, None])
def test_a_frozen_encoder_is_judged_by_states_of_its_own_documents(
    validation: Validation | None, tokens: TokensRef, tmp_path: Path
) -> None:
    """The head is what scikit-learn makes of the states, with the penalty drawn to the start's head, which is zero."""
    from sklearn.linear_model import LogisticRegression

    fit_target_model(TargetFit(MODEL, tokens, TRAINING, 4), tmp_path / "start")
    start = Checkpoint.load(tmp_path / "start")
    zero = {name: np.zeros_like(start.weights[name]) for name in ("head/kernel", "head/bias")}
    Checkpoint(start.description, start.weights | zero).save(tmp_path / "start", tokens.tokenizer)
    (tmp_path / "start" / "SHA256SUMS").unlink()
    fit = TargetFit(
        MODEL, tokens, TRAINING, 3, labels=60, validation=validation, start=tmp_path / "start", trainable="head"
    )
    metrics = fit_target_model(fit, tmp_path / "cell").metrics
    strength = metrics["valid/strength"]
    whole = labelled_documents(CLASSES, tokens, 60, 3, validation)
    encoder = Checkpoint.load(tmp_path / "start").build()
    assert isinstance(encoder, TargetModel)

    def said(train: Text, asked: Text) -> np.ndarray:
        states = pooled_features(encoder, train)
        # As the model's normalisation, which adds a thousandth to the variance.
        mean, deviation = states.mean(axis=0), np.sqrt(states.var(axis=0) + 1e-3)
        model = LogisticRegression(C=strength, tol=1e-8, max_iter=5_000)
        model.fit((states - mean) / deviation, train.labels)
        return np.asarray(model.predict_proba((pooled_features(encoder, asked) - mean) / deviation))

    of_valid = np.concatenate([said(*fold) for fold in whole.folds])
    np.testing.assert_allclose(CLASSES.said(pq.read_table(tmp_path / "cell" / VALID)), of_valid, atol=1e-4)
    assert metrics["valid/accuracy"] == pytest.approx((of_valid.argmax(1) == whole.valid.labels).mean())
    # What is used has learnt all labels that do not choose, and its checkpoint says the same.
    test = read_documents(tokens, "test", labelled=True)
    trained = whole.train if whole.is_cross_validated else whole.folds[0][0]
    np.testing.assert_allclose(
        CLASSES.said(pq.read_table(tmp_path / "cell" / PREDICTIONS)), said(trained, test), atol=1e-4
    )
    model = Checkpoint.load(tmp_path / "cell").build()
    assert isinstance(model, TargetModel)
    np.testing.assert_allclose(predict(model, test), said(trained, test), atol=1e-4)


@pytest.mark.parametrize("validation", [CROSSED, HELD_OUT])
def test_tfidf_is_chosen_as_scikit_learn_would(
    validation: Validation,
    reviews: tuple[DocumentsRef, TokensRef],
    tmp_path: Path,
) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    documents, tokens = reviews
    fitted = fit_solved(CLASSES, documents, tokens, 60, 3, tmp_path / "cell", select="nll", validation=validation)
    table = pq.read_table(documents.file)
    texts = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))

    def said(train: Text, asked: Text, strength: float) -> np.ndarray:
        vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
        features = vectors.fit_transform([texts[name] for name in train.document_ids])
        model = LogisticRegression(C=strength, max_iter=1_000).fit(features, train.labels)
        return np.asarray(model.predict_proba(vectors.transform([texts[name] for name in asked.document_ids])))

    def nll(probabilities: np.ndarray, labels: np.ndarray) -> float:
        return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())

    whole = drawn(tokens, 60, validation)
    losses = {
        strength: nll(np.concatenate([said(*fold, strength) for fold in whole.folds]), whole.valid.labels)
        for strength in CLASSES.solvers["tfidf"].strengths
    }
    best = min(losses, key=lambda strength: losses[strength])
    assert fitted.metrics["valid/strength"] == best
    assert fitted.metrics["valid/nll"] == pytest.approx(losses[best], rel=1e-4)
    test = read_documents(tokens, "test", labelled=True)
    assert fitted.metrics["nll"] == pytest.approx(nll(said(whole.train, test, best), test.labels), rel=1e-4)


@pytest.mark.parametrize("validation", [CROSSED, HELD_OUT])
def test_a_mean_is_weighted_by_the_documents_that_chose_its_parts(
    validation: Validation,
    reviews: tuple[DocumentsRef, TokensRef],
    tmp_path: Path,
) -> None:
    documents, tokens = reviews
    fit_target_model(TargetFit(MODEL, tokens, TRAINING, 3, labels=60, validation=validation), tmp_path / "trained")
    fit_solved(CLASSES, documents, tokens, 60, 3, tmp_path / "tfidf", select="nll", validation=validation)
    parts = {"scratch": tmp_path / "trained", "tfidf": tmp_path / "tfidf"}
    metrics = fit_ensemble(
        CLASSES, parts, tokens, 60, 3, tmp_path / "mean", validation=validation, weighted=True
    ).metrics
    whole = drawn(tokens, 60, validation)
    said = [CLASSES.said(pq.read_table(part / VALID)) for part in parts.values()]
    weights = CLASSES.fit_weights(said, whole.valid.labels)
    assert metrics["valid/share_scratch"] == pytest.approx(weights[0] / weights.sum())
    assert pq.read_table(tmp_path / "mean" / VALID)["id"].to_pylist() == whole.valid.document_ids.tolist()

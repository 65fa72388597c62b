"""The traditional models as cells: real documents, real counts, scores against what is computed beside them."""

import json
import math
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from rnnlm.corpus import ingest
from rnnlm.experiment import Validation
from rnnlm.model.checkpoint import Checkpoint, Description, get_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.ngram import count, kneser_ney
from rnnlm.refs import DocumentsRef, TokensRef
from rnnlm.settings import Corpus, Model, Tokenizer
from rnnlm.targets import TASKS
from rnnlm.targets.calibration import calibration_metrics
from rnnlm.tokens import TextTokenizer, read_text, tokenize
from rnnlm.transfer.subsets import label_subset
from rnnlm.transfer.tradition import SOURCE_WEIGHTS, fit_mixture, fit_ngram, fit_solved

GOOD, BAD = ["great", "lovely", "moving"], ["dull", "boring", "weak"]

CLASSES = TASKS["classification"]


def corpus(folder: Path, chinese: bool = False) -> tuple[DocumentsRef, TokensRef]:
    """Ingest and tokenize 160 reviews whose class one of their words tells."""
    generator = np.random.default_rng(3)
    words = [["好", "妙", "赞"], ["差", "烂", "糟"]] if chinese else [GOOD, BAD]
    lines = ["text,label"]
    for n in range(160):
        filler = generator.permutation(
            ["电影", "故事", "音乐", "演员"] if chinese else ["film", "plot", "music", "cast"]
        )
        space = "" if chinese else " "
        text = space.join([*filler, generator.choice(words[n % 2]), str(n)])
        lines.append(f"{text},{'bad' if n % 2 else 'good'}")
    folder.mkdir()
    (folder / "reviews.csv").write_text("\n".join(lines), encoding="utf-8")
    settings = Corpus(files=[str(folder / "reviews.csv")], label="label", valid_share=0.2, test_share=0.25)
    documents = ingest(settings, folder / "documents", downloads=folder)
    tokenizer = Tokenizer(kind="character" if chinese else "word", vocabulary_size=60)
    return documents, tokenize(documents, tokenizer, folder / "tokens")


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> tuple[DocumentsRef, TokensRef]:
    return corpus(tmp_path_factory.mktemp("tradition") / "english")


def test_an_ngram_cell_holds_the_models_own_scores(reviews: tuple[DocumentsRef, TokensRef], tmp_path: Path) -> None:
    _, tokens = reviews
    fitted = fit_ngram("kneser_ney", 3, tokens, tmp_path / "cell")
    train, test = read_text(tokens, "train"), read_text(tokens, "test")
    model = kneser_ney(count(train, 3))
    losses = model.score_tokens(test)
    table = pq.read_table(tmp_path / "cell" / "predictions.parquet")
    by_document = [losses[a:b].sum() for a, b in zip(test.offsets[:-1], test.offsets[1:], strict=True)]
    np.testing.assert_allclose(table["nll"].to_numpy(), by_document)
    predicted = len(test.ids) - len(test)  # all but <bos>
    assert fitted.metrics["perplexity"] == pytest.approx(math.exp(losses.sum() / predicted))
    assert fit_ngram("kneser_ney", 3, tokens, tmp_path / "again").sha256 == fitted.sha256
    assert fit_ngram("good_turing", 3, tokens, tmp_path / "other").sha256 != fitted.sha256


def test_a_mixture_is_better_than_both_on_validation(reviews: tuple[DocumentsRef, TokensRef], tmp_path: Path) -> None:
    _, tokens = reviews
    tokenizer = TextTokenizer.load(tokens.tokenizer)
    settings = Model(embedding=4, hidden=4, layers=1)
    counts = read_text(tokens, "train").counts()
    model = LanguageModel(settings, tokenizer.size, 1, counts)
    description = Description(kind="language_model", settings=settings, vocabulary_size=tokenizer.size)
    Checkpoint(description, get_weights(model)).save(tmp_path, tokens.tokenizer)
    mixture = fit_mixture(tmp_path, 3, tokens, tmp_path / "mixture").metrics
    ngram = fit_ngram("kneser_ney", 3, tokens, tmp_path / "ngram").metrics
    assert 0.0 <= mixture["valid/recurrent_share"] <= 1.0
    # An untrained LSTM knows the words' frequencies and little else, so nearly all is left to the n-grams.
    assert mixture["valid/recurrent_share"] < 0.3
    assert mixture["valid/nll"] <= ngram["valid/nll"] + 1e-4


@pytest.mark.parametrize("model", [name for name, solver in CLASSES.solvers.items() if solver.reads == "text"])
@pytest.mark.parametrize("chinese", [False, True])
def test_the_tradition_learns_what_one_word_tells(model: str, chinese: bool, tmp_path: Path) -> None:
    documents, tokens = corpus(tmp_path / "data", chinese)
    fitted = fit_solved(CLASSES, documents, tokens, None, 1, tmp_path / "cell", select="accuracy", model=model)
    assert fitted.metrics["accuracy"] >= 0.95
    table = pq.read_table(tmp_path / "cell" / "predictions.parquet")
    test = read_text(tokens, "test")
    assert table["id"].to_pylist() == list(test.document_ids)
    probabilities = np.stack(table["probabilities"].to_numpy(zero_copy_only=False))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)
    accuracy = (probabilities.argmax(axis=1) == test.labels).mean()
    assert fitted.metrics["accuracy"] == pytest.approx(accuracy)
    # The probabilities on disk are without the temperature.
    temperature = fitted.metrics["valid/temperature"]
    expected = calibration_metrics(probabilities, test.labels, temperature)
    assert {name: fitted.metrics[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert temperature < 1.0  # few and clear documents: it is right more often than it is sure


def test_tfidf_sees_the_labels_that_the_other_arms_see(
    reviews: tuple[DocumentsRef, TokensRef], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    seen: list[list[str]] = []
    fit_transform = TfidfVectorizer.fit_transform

    def spy(self: TfidfVectorizer, texts: list[str]) -> object:
        seen.append(texts)
        return fit_transform(self, texts)

    monkeypatch.setattr(TfidfVectorizer, "fit_transform", spy)
    documents, tokens = reviews
    fit_solved(CLASSES, documents, tokens, 12, 5, tmp_path / "cell", select="accuracy")
    train = read_text(tokens, "train")
    table = pq.read_table(documents.file)
    texts = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    assert seen == [[texts[train.document_ids[n]] for n in label_subset(train.labels, 12, 5)]]


def test_tfidf_weighs_classes_as_it_is_told(
    reviews: tuple[DocumentsRef, TokensRef], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import LogisticRegression

    seen = []
    fit = LogisticRegression.fit

    def spy(self: LogisticRegression, *args: object) -> object:
        seen.append(self.class_weight)
        return fit(self, *args)

    monkeypatch.setattr(LogisticRegression, "fit", spy)
    documents, tokens = reviews
    fit_solved(CLASSES, documents, tokens, 12, 5, tmp_path / "plain", select="accuracy")
    fit_solved(CLASSES, documents, tokens, 12, 5, tmp_path / "balanced", class_weights="balanced", select="macro_f1")
    assert set(seen[:3]) == {None}
    assert set(seen[3:]) == {"balanced"}


def test_a_subset_of_one_class_is_no_error(reviews: tuple[DocumentsRef, TokensRef], tmp_path: Path) -> None:
    documents, tokens = reviews
    metrics = fit_solved(CLASSES, documents, tokens, 1, 1, tmp_path / "cell", select="accuracy").metrics
    test = read_text(tokens, "test")
    assert metrics["accuracy"] in [pytest.approx((test.labels == label).mean()) for label in (0, 1)]


def test_text_without_a_word_is_counted_by_characters(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    lines = ["text,label"]
    for n in range(160):
        noise = "".join(generator.choice(["!", "?", "*", "~", "^"], 6))
        face = ":-) \N{THUMBS UP SIGN}" if n % 2 else ":-( \N{THUMBS DOWN SIGN}"
        lines.append(f"{noise}{face},{n % 2}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "reviews.csv").write_text("\n".join(lines), encoding="utf-8")
    settings = Corpus(
        files=[str(tmp_path / "data" / "reviews.csv")],
        label="label",
        valid_share=0.2,
        test_share=0.2,
        drop_duplicates=False,
        drop_overlap=False,
    )
    documents = ingest(settings, tmp_path / "documents", downloads=tmp_path)
    tokens = tokenize(documents, Tokenizer(kind="character", vocabulary_size=60), tmp_path / "tokens")
    assert (
        fit_solved(CLASSES, documents, tokens, None, 1, tmp_path / "cell", select="accuracy").metrics["accuracy"] == 1.0
    )


def test_labels_of_the_source_are_learnt_as_much_as_validation_says(tmp_path: Path) -> None:
    """The source's words mean the same, or the opposite; other classes of it are left out."""
    generator = np.random.default_rng(2)
    words = {"good": ["lovely", "great", "fine", "sweet"], "bad": ["dull", "poor", "weak", "bland"]}

    def write(name: str, number: int, turned: bool) -> DocumentsRef:
        rows = ["text,label"]
        for n in range(number):
            label = ("good", "bad")[n % 2]
            of = ("bad", "good")[n % 2] if turned else label
            rows.append(f"{' '.join(generator.choice(words[of], 2))} film number {n},{label}")
        rows += [f"lovely great film of no kind {n},other" for n in range(40)] if name != "target" else []
        (tmp_path / f"{name}.csv").write_text("\n".join(rows), encoding="utf-8")
        corpus = Corpus(files=[str(tmp_path / f"{name}.csv")], label="label", valid_share=0.2, test_share=0.3)
        return ingest(corpus, tmp_path / f"{name} documents", downloads=tmp_path)

    target = write("target", 300, False)
    tokens = tokenize(target, Tokenizer(kind="word", vocabulary_size=300), tmp_path / "tokens")
    validation = Validation(way="cross-validation", documents=12)

    def fitted(name: str, source: DocumentsRef | None) -> dict[str, float]:
        return fit_solved(
            CLASSES, target, tokens, 12, 3, tmp_path / name, select="nll", validation=validation, source=source
        ).metrics

    alone = fitted("alone", None)
    same, turned = (fitted(name, write(name, 400, name == "turned")) for name in ("same", "turned"))
    assert "valid/source_weight" not in alone
    assert same["valid/source_weight"] == 1.0
    assert same["nll"] < alone["nll"]
    assert turned["valid/source_weight"] == min(SOURCE_WEIGHTS)
    said = pq.read_table(tmp_path / "same" / "predictions.parquet")
    assert {len(row) for row in said["probabilities"].to_pylist()} == {2}


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_vectors_of_another_model_are_all_that_embeddings_reads(
    task: Literal["classification", "regression"], tmp_path: Path
) -> None:
    """Against scikit-learn on the vectors as they are in the data; the text says nothing."""
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(200, 6)) * [1.0, 10.0, 0.1, 1.0, 1.0, 1.0] + 3.0
    vectors[:, 5] = 1.0  # a number that says nothing
    labels = (vectors[:, 1] + generator.normal(size=200) * 3.0 > 3.0).astype(int)
    lines = [
        json.dumps({"text": f"text {n}", "label": int(label), "vector": vector.tolist()})
        for n, (label, vector) in enumerate(zip(labels, vectors, strict=True))
    ]
    (tmp_path / "reviews.jsonl").write_text("\n".join(lines), encoding="utf-8")
    corpus = Corpus(
        files=[str(tmp_path / "reviews.jsonl")], label="label", vector="vector", valid_share=0.2, test_share=0.3
    )
    target = TASKS[task]
    documents = ingest(corpus, tmp_path / "documents", downloads=tmp_path, label_kind=target.labels)
    tokens = tokenize(documents, Tokenizer(kind="word", vocabulary_size=60), tmp_path / "tokens")
    select = "nll" if task == "classification" else "mae"
    fitted = fit_solved(target, documents, tokens, None, 1, tmp_path / "cell", select=select, model="embeddings")
    strength = fitted.metrics["valid/strength"]
    assert strength in target.solvers["embeddings"].strengths
    of = {split: read_text(tokens, split).document_ids for split in ("train", "test")}
    place = {split: [int(name.rpartition(" ")[2]) - 1 for name in names] for split, names in of.items()}
    scaler = StandardScaler().fit(vectors[place["train"]].astype(np.float32))
    inputs = {split: scaler.transform(vectors[places].astype(np.float32)) for split, places in place.items()}
    said = target.said(pq.read_table(tmp_path / "cell" / "predictions.parquet"))
    if task == "classification":
        right = LogisticRegression(C=strength, max_iter=1_000).fit(inputs["train"], labels[place["train"]])
        np.testing.assert_allclose(said, right.predict_proba(inputs["test"]), atol=1e-4)
        assert fitted.metrics["accuracy"] > 0.85
    else:
        ridge = Ridge(alpha=1.0 / strength).fit(inputs["train"], labels[place["train"]])
        np.testing.assert_allclose(said, np.clip(ridge.predict(inputs["test"]), 0.0, 1.0), atol=1e-5)

"""What the verdict says of the data: what was left out, and unknown tokens."""

from pathlib import Path

import pytest

from rnnlm.evaluation.caveats import left_out_sentences, mean_sentence, unknown_sentences, validation_sentence
from rnnlm.evaluation.enough import more_documents, small_splits
from rnnlm.experiment import validation_of
from rnnlm.refs import DocumentsRef, ModelKind, ScoreRef, TokensRef
from rnnlm.settings import Corpus, Tokenizer

GIVEN = Corpus(files=["x.csv"], label="label", split="split")
CUT = Corpus(files=["x.csv"], label="label")


def documents(**changes: object) -> DocumentsRef:
    counts = {"train": 9_000, "valid": 1_000, "test": 1_000}
    values: dict[str, object] = {
        "path": Path("/nowhere"),
        "sha256": "0",
        "documents": counts,
        "labels": ["neg", "pos"],
        "labelled": counts,
        "dropped": dict.fromkeys(("empty", "duplicate", "label", "excluded", "overlap"), 0),
        "overlap": {"train+valid": 0, "train+test": 0, "valid+test": 0},
        "duplicates": {"train": 0, "valid": 0, "test": 0},
    }
    return DocumentsRef.model_validate(values | changes)


def tokens(unknown: int) -> TokensRef:
    return TokensRef(
        path=Path("/nowhere"),
        sha256="0",
        tokenizer_sha256="0",
        documents_sha256="0",
        vocabulary_size=100,
        tokens={"train": 900, "valid": 50, "test": 50},
        unknown={"train": unknown, "valid": 0, "test": 0},
        documents={"train": 9, "valid": 1, "test": 1},
        labels=[],
    )


def test_a_trifle_is_not_worth_a_sentence() -> None:
    assert left_out_sentences(documents(), GIVEN) == []
    assert left_out_sentences(documents(dropped={"duplicate": 5}), GIVEN) == []
    # What was asked for is no loss.
    assert left_out_sentences(documents(dropped={"label": 4_000, "excluded": 500}), GIVEN) == []


def test_what_the_test_split_lost_and_shared_is_said_with_what_it_means() -> None:
    found = documents(dropped={"duplicate": 395, "overlap": 331}, duplicates={"test": 12}, overlap={"train+test": 331})
    first, *others = left_out_sentences(found, GIVEN)
    assert first == (
        "726 of the target's 11,726 documents are left out: 395 with the same text as another one of their split, 331 "
        "with the same text as one of a later split (valid, test)."
    )
    lost, shared = others
    assert "scored without 12 of its documents: the scores are not comparable with published ones" in lost
    assert shared.startswith("331 documents of the test split were in train or valid, too, and were taken out there")
    kept = GIVEN.model_copy(update={"drop_overlap": False})
    assert "were kept (drop_overlap: false): the scores are higher for that" in left_out_sentences(found, kept)[-1]


def test_a_split_that_was_cut_here_has_nothing_published() -> None:
    found = left_out_sentences(documents(dropped={"duplicate": 395}, duplicates={"test": 12}), CUT)
    assert len(found) == 1
    assert "395 with the same text" in found[0]


@pytest.mark.parametrize(
    ("source", "target", "own", "said"),
    [
        (0, 199, None, []),
        (0, 977, None, ["97.7 % of the target's tokens are unknown to the source's tokenizer"]),
        (0, 977, Tokenizer(), ["97.7 % of the target's tokens are unknown to the target's tokenizer"]),
        (300, 0, None, ["30.0 % of the source's tokens"]),
        (300, 400, None, ["30.0 % of the source's tokens", "40.0 % of the target's tokens"]),
    ],
)
def test_many_unknown_tokens_are_said(source: int, target: int, own: Tokenizer | None, said: list[str]) -> None:
    found = unknown_sentences(tokens(source), tokens(target), own)
    assert [sentence.startswith(begin) for sentence, begin in zip(found, said, strict=True)] == [True] * len(said)
    assert all("bpe, unigram or byte" in sentence for sentence in found)


def test_small_splits_are_named_with_what_to_do() -> None:
    counts = {"train": 100, "valid": 29, "test": 1}
    chosen: dict[tuple[ModelKind, int], int] = {("language_model", 0): 29, ("classifier", 100): 29}
    test, valid, of_labels = small_splits(documents(documents=counts, labelled=counts), GIVEN, chosen)
    assert test.startswith("No claim is made: the target's test split has 1 document, and a verdict needs at least 30")
    assert test.endswith("Give more rows whose column 'split' says test.")
    assert valid.startswith("No language model is recommended: the target's validation split has 29 documents")
    assert of_labels.startswith("No arm is recommended with these numbers of labels: 100 (29).")
    labelled = {"train": 100, "valid": 40, "test": 5}
    chosen = {("classifier", 20): 20, ("classifier", 100): 30}
    some, few = small_splits(documents(labelled=labelled), GIVEN, chosen)
    assert some.startswith("No claim is made about the target task: the target's test split has 5 labelled documents")
    assert few.startswith("No arm is recommended with these numbers of labels: 20 (20).")
    assert few.endswith("needs at least 30. Give more labels.")
    held_out: dict[tuple[ModelKind, int], int] = {("classifier", 2_000): 20}
    assert small_splits(documents(labelled=labelled), GIVEN, held_out)[1].endswith("larger target.corpus.valid_share.")
    enough = {"train": 100, "valid": 30, "test": 30}
    assert small_splits(documents(documents=enough, labelled=enough), GIVEN, {("classifier", 100): 30}) == []
    # A cross-validation needs no validation split, but language models do, where they are compared.
    counts = {"train": 100, "valid": 29, "test": 30}
    chosen = {("classifier", 100): 100}
    assert small_splits(documents(documents=counts, labelled=counts), GIVEN, chosen) == []
    (alone,) = small_splits(documents(documents=counts, labelled=counts), GIVEN, {("language_model", 0): 29, **chosen})
    assert alone.startswith("No language model is recommended: the target's validation split has 29 documents")


def test_what_to_do_fits_how_the_splits_are_made() -> None:
    plain = Corpus(files=["x.txt"], label_pattern="(pos|neg)")
    assert more_documents(plain, "target", "test") == (
        "Give a larger target.corpus.test_share, more documents or smaller documents, where the text is plain "
        "(target.corpus.document: line or paragraph)."
    )
    files = Corpus(train=["a.csv"], test=["b.csv"], label="label")
    assert more_documents(files, "target", "test") == "Give more documents in target.corpus.test."
    assert more_documents(files, "target", "valid") == "Give a larger target.corpus.valid_share or more documents."


def test_it_is_said_which_labels_chose_the_models() -> None:
    labelled = {"train": 9_000, "valid": 1_000, "test": 500}
    ways = {labels: validation_of(True, labels, labelled) for labels in (100, 500, 2_000, 10_000)}
    assert validation_sentence(ways) == (
        "A number of labels counts all labelled documents of the target that a model was trained or chosen on. With "
        "100 and 500 labels, cross-validation chose. With 2,000 labels, 200 of them chose, with 10,000 labels, 1,000; "
        "nothing was trained on these."
    )
    (found,) = {validation_sentence({500: validation_of(False, 500, labelled)})}
    assert found.startswith("Numbers of labels leave out the 1,000 labelled validation documents that chose each model")
    assert validation_sentence({}) == ""


def test_it_is_said_what_a_weighted_mean_is_made_of() -> None:
    def score(arm: str, labels: int, seed: int, **metrics: float) -> ScoreRef:
        return ScoreRef(
            path=Path("cell"), sha256="", task="classifier", arm=arm, labels=labels, seed=seed,
            metrics={f"valid/{name}": value for name, value in metrics.items()}, seconds=1.0, recorded_as="",
        )  # fmt: skip

    scores = [
        score("parameter", 500, 1, share=0.5),  # of the trained weights, in an average with the start
        *(score("mean", 500, seed, share_parameter=0.2 * seed, share_nbsvm=1.0 - 0.2 * seed) for seed in (1, 2)),
        score("mean", 2_000, 1, share_parameter=0.0, share_nbsvm=1.0),
    ]
    assert mean_sentence(scores) == (
        "The weighted mean is one of parameter transfer and NB-SVM; shares: 30 and 70 % with 500 labels, 0 and 100 % "
        "with 2,000 labels."
    )
    assert mean_sentence(scores[:1]) == ""

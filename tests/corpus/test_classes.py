"""Labels that are no classes are refused or warned of, by name and with counts."""

from pathlib import Path

import pytest

from rnnlm.corpus import check_classes, class_counts, ingest
from rnnlm.errors import ConfigError, DataError
from rnnlm.settings import Corpus

CORPUS = Corpus(files=["x.csv"], label="label")
BOTH = {"neg": 20, "pos": 20}


def check(
    train: dict[str, int], test: dict[str, int], valid: dict[str, int] | None = None, corpus: Corpus = CORPUS
) -> list[str]:
    return check_classes({"train": train, "valid": valid or BOTH, "test": test}, corpus, "target")


def test_classes_are_counted_by_split(tmp_path: Path) -> None:
    rows = [f"text {n},{'pos' if n % 3 else 'neg'},{'test' if n < 30 else 'train'}" for n in range(90)]
    (tmp_path / "x.csv").write_text("\n".join(["text,label,split", *rows]), encoding="utf-8")
    corpus = Corpus(files=[str(tmp_path / "x.csv")], label="label", split="split", valid_share=0.0)
    counts = class_counts(ingest(corpus, tmp_path / "out", downloads=tmp_path))
    assert counts == {"train": {"neg": 20, "pos": 40}, "valid": {}, "test": {"neg": 10, "pos": 20}}


def test_sound_labels_pass() -> None:
    assert check(BOTH, {"neg": 3, "pos": 9}) == []


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ({"0.0": 40, "1.0": 40}, {"0": 20, "1": 20}),
        ({"1": 40, "2": 40}, {"1": 20, "2.": 20}),
        ({"-1": 40, "1": 40}, {"-1.00": 20, "+1": 20}),
        ({"0.5": 40, ".5": 1, "0.50": 40}, {"0.5": 20}),
    ],
)
def test_one_number_written_in_two_ways_is_named(train: dict[str, int], test: dict[str, int]) -> None:
    with pytest.raises(DataError, match=r"one number is written in two ways, '[-.0-9]+' \(in train.*Write them alike"):
        check(train, test, valid={next(iter(train)): 9})


@pytest.mark.parametrize("labels", [("7", "007"), ("1", "10"), ("1", "-1"), ("a1", "a1.0")])
def test_different_numbers_and_codes_are_different_classes(labels: tuple[str, str]) -> None:
    classes = dict.fromkeys(labels, 30)
    assert check(classes, classes, classes) == []


@pytest.mark.parametrize("split", ["test", "valid"])
def test_classes_that_training_never_saw_are_refused_by_name(split: str) -> None:
    strange = {"pos": 20, "neutral": 13}
    classes = {"train": BOTH, "valid": BOTH, "test": BOTH} | {split: strange}
    with pytest.raises(DataError, match=rf"13 of 33 labelled {split} .*'neutral' \(13\); it has 'neg' \(20\), 'pos'"):
        check_classes(classes, CORPUS, "target")


def test_a_rare_class_that_chance_kept_from_training_is_a_warning() -> None:
    (warning,) = check(BOTH, {"neg": 40, "pos": 40, "once": 1})
    assert "1 of 81 labelled test documents are of classes that the training split does not have: 'once' (1)" in warning


def test_withheld_labels_are_recognised() -> None:
    with pytest.raises(DataError, match=r"'-1' looks like a label that is withheld"):
        check(BOTH, {"-1": 40})


def test_labels_that_differ_in_case_are_recognised() -> None:
    with pytest.raises(DataError, match=r"'Pos' is not 'pos'"):
        check(BOTH, {"Pos": 40, "neg": 20})


def test_ids_are_no_classes() -> None:
    numbers = range(150), range(150, 190), range(190, 200)
    train, test, valid = ({f"id{n}": 1 for n in some} for some in numbers)
    with pytest.raises(ConfigError, match=r"200 labelled documents have 200 different labels .*column 'label'"):
        check(train, test, valid)


def test_a_test_split_of_one_class_is_refused_and_a_few_documents_are_not() -> None:
    with pytest.raises(DataError, match=r"all labelled test documents are of one class, 'pos' \(40\)"):
        check(BOTH, {"pos": 40})
    assert check(BOTH, {"pos": 1}) == []


@pytest.mark.parametrize("split", ["test", "valid"])
def test_a_split_without_labels_is_refused(split: str) -> None:
    corpus = Corpus(files=["x.csv"], label="label", unlabelled="-1")
    classes = {"train": BOTH, "valid": BOTH, "test": BOTH} | {split: {}}
    with pytest.raises(ConfigError, match=rf"no document of the {split} split has a label \(unlabelled: '-1'\)"):
        check_classes(classes, corpus, "target")


def test_classes_of_one_training_document_are_a_warning() -> None:
    (warning,) = check(BOTH | {"a": 1, "b": 1}, BOTH)
    assert "2 of the target's 4 classes have one training document: 'a' (1), 'b' (1)" in warning


def test_the_text_is_no_label() -> None:
    with pytest.raises(ValueError, match="both name the column 'text'"):
        Corpus(files=["x.csv"], label="text")

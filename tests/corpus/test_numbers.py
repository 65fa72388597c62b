"""Labels that are numbers: read strictly, and checked before anything is trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnlm.corpus import check_numbers, ingest, numbers_of
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import DocumentsRef
from rnnlm.settings import Corpus


def read(folder: Path, written: list[str], kind: str = "number", **fields: Any) -> DocumentsRef:
    rows = [f"text {n},{label}" for n, label in enumerate(written)]
    (folder / "x.csv").write_text("\n".join(["text,grade", *rows]), encoding="utf-8")
    corpus = Corpus(files=[str(folder / "x.csv")], label="grade", **fields)
    return ingest(corpus, folder / f"out-{kind}", downloads=folder, label_kind=kind)  # type: ignore[arg-type]


def test_numbers_are_read_however_they_are_written(tmp_path: Path) -> None:
    written = ["4", "4.0", "+4", "1e1", "-2.50", " 7 "] * 10
    ref = read(tmp_path, written, valid_share=0.2, test_share=0.2)
    assert ref.labels == []
    assert sum(ref.labelled.values()) == 60
    numbers = np.concatenate(list(numbers_of(ref).values()))
    assert sorted(set(numbers)) == [-2.5, 4.0, 7.0, 10.0]


@pytest.mark.parametrize("label", ["good", "3,5", "nan", "inf", "1e999", "5 stars"])
def test_what_is_no_number_is_refused_with_its_line(tmp_path: Path, label: str) -> None:
    written = ["1", "2", f'"{label}"', *["3"] * 30]
    with pytest.raises(DataError, match=r"x\.csv.*4.*is not a number"):
        read(tmp_path, written)


def test_a_value_can_mean_that_there_is_no_number(tmp_path: Path) -> None:
    ref = read(tmp_path, ["1", "2", "?"] * 20, unlabelled="?", valid_share=0.2, test_share=0.2)
    assert sum(ref.documents.values()) == 60
    assert sum(ref.labelled.values()) == 40


def test_no_label_is_recognised_however_its_number_is_written(tmp_path: Path) -> None:
    """Programs write -1.0 for -1 where a column has empty fields."""
    ref = read(tmp_path, ["1.0", "2.0", "-1.0"] * 20, unlabelled="-1", valid_share=0.2, test_share=0.2)
    assert sum(ref.labelled.values()) == 40
    kept = read(tmp_path, ["1", "2.0", "3.00"] * 20, labels=["1.0", "2", "3"], valid_share=0.2, test_share=0.2)
    assert sum(kept.labelled.values()) == 60


def test_an_empty_number_is_answered_by_what_helps(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='set `unlabelled: ""`'):
        read(tmp_path, ["1", "", *["3"] * 30])
    assert (
        sum(read(tmp_path, ["1", "", "3"] * 20, unlabelled="", valid_share=0.2, test_share=0.2).labelled.values()) == 40
    )


def test_the_same_labels_as_classes_and_as_numbers_are_two_outputs(tmp_path: Path) -> None:
    written = ["1.5", "2.5"] * 20
    assert read(tmp_path, written).sha256 != read(tmp_path, written, kind="class").sha256


CORPUS = Corpus(files=["x.csv"], label="grade")
GOOD = {split: np.arange(20.0) for split in ("train", "valid", "test")}


def test_good_numbers_pass_without_a_word() -> None:
    assert check_numbers(GOOD, CORPUS, "target") == []


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_split_without_labels_is_refused(split: str) -> None:
    with pytest.raises(ConfigError, match=f"no document of the {split} split has a label"):
        check_numbers(GOOD | {split: np.zeros(0)}, CORPUS, "target")


def test_labels_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(DataError, match="all labels of the test split are 3: there is nothing to predict"):
        check_numbers(GOOD | {"test": np.full(20, 3.0)}, CORPUS, "target")


def test_two_values_and_a_far_one_are_named() -> None:
    (warning,) = check_numbers({split: np.array([0.0, 1.0] * 10) for split in GOOD}, CORPUS, "target")
    assert "two values only, 0 and 1" in warning
    (warning,) = check_numbers(GOOD | {"train": np.array([*range(20)] * 20 + [9_999.0])}, CORPUS, "target")
    assert "1 label is more than 10 standard deviations" in warning
    assert "9,999" in warning

"""What is said before anything is trained, where texts do not fit the experiment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import corpora
from rnnlm.config import Corpus, check_experiment
from rnnlm.corpus import ingest
from rnnlm.errors import ConfigError
from rnnlm.refs import DocumentsRef

SHARES = {"valid_share": 0.3, "test_share": 0.3}


@pytest.fixture(autouse=True)
def read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Corpus], DocumentsRef]:
    """Read without a flow."""
    numbers = iter(range(9))

    def read(corpus: Corpus) -> DocumentsRef:
        return ingest(corpus, tmp_path / f"out {next(numbers)}", downloads=tmp_path)

    monkeypatch.setattr(corpora, "read", read)
    return read


def _error(tmp_path: Path, target: str, fields: dict[str, Any], source: dict[str, Any] | None = None) -> ConfigError:
    (tmp_path / "source.txt").write_text("".join(f"line {n}\n" for n in range(99)), encoding="utf-8")
    (tmp_path / "target.csv").write_text(target, encoding="utf-8")
    experiment = check_experiment(
        {
            "source": {"corpus": {"files": [f"{tmp_path}/source.txt"], "document": "line", **SHARES, **(source or {})}},
            "target": {"corpus": {"files": [f"{tmp_path}/target.csv"], "label": "label", **fields}},
            "comparison": {"labels": ["all"]},
        }
    )
    with pytest.raises(ConfigError) as raised:
        corpora.read_both(experiment)
    return raised.value


def _rows(splits: str, label: str = "ab") -> str:
    rows = [f"text {n},{label[n % 2]},{split}" for n, split in enumerate(splits.split())]
    return "\n".join(["text,label,split", *rows]) + "\n"


def test_a_split_column_without_test_rows(tmp_path: Path) -> None:
    error = _error(tmp_path, _rows("train train valid valid"), {"split": "split"})
    assert error.problem.startswith("target.corpus.split: the test split is empty")
    assert "No document is marked 'test' in the column 'split'" in error.remedy


def test_test_documents_without_labels_are_named_before_anything_is_trained(tmp_path: Path) -> None:
    rows = _rows("train train train valid valid") + "text x,-1,test\ntext y,-1,test\n"
    error = _error(tmp_path, rows, {"split": "split", "unlabelled": -1})
    assert "none of the 2 documents of the test split has a label" in error.problem
    assert "withheld" in error.remedy


def test_one_document_that_is_the_whole_text(tmp_path: Path) -> None:
    rows = _rows("train train train valid valid test test")
    # Its one document is in train, by its hash.
    error = _error(tmp_path, rows, {"split": "split"}, {"document": "file", "valid_share": 0.0, "test_share": 0.0001})
    assert error.problem.startswith("source.corpus.document: the valid split is empty")
    assert "`document: line`" in error.remedy


def test_files_of_a_split_of_which_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("text,label\n,a\n", encoding="utf-8")
    target = _rows("train " * 40).replace("split", "part")
    fields = {"files": [], "train": [f"{tmp_path}/target.csv"], "test": [f"{tmp_path}/empty.csv"], "valid_share": 0.3}
    error = _error(tmp_path, target, fields)
    assert error.problem.startswith("target.corpus.test: the test split is empty")
    assert "1 empty" in error.remedy

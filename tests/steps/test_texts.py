"""What is said before anything is trained, where texts do not fit the experiment."""

import logging
from pathlib import Path
from typing import Any

import pytest

from rnnlm.corpus import ingest
from rnnlm.errors import ConfigError, DataError
from rnnlm.experiment import check_experiment
from rnnlm.refs import DocumentsRef, LabelKind
from rnnlm.settings import Corpus
from rnnlm.steps import texts
from rnnlm.steps.runner import Local, Runner

SHARES = {"valid_share": 0.3, "test_share": 0.3}


@pytest.fixture(autouse=True)
def read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Read without a flow; return the first file of each corpus that was read."""
    numbers, seen = iter(range(9)), list[str]()

    def read(corpus: Corpus, _: Runner, whose: str = "source", kind: LabelKind = "class") -> DocumentsRef:
        seen.append(Path((corpus.files or corpus.train)[0]).name)
        return ingest(corpus, tmp_path / f"out {next(numbers)}", downloads=tmp_path, label_kind=kind)

    monkeypatch.setattr(texts, "read", read)
    return seen


def _error(tmp_path: Path, target: str, fields: dict[str, Any], source: dict[str, Any] | None = None) -> ConfigError:
    (tmp_path / "source.txt").write_text("".join(f"line {n}\n" for n in range(99)), encoding="utf-8")
    (tmp_path / "target.csv").write_text(target, encoding="utf-8")
    experiment = check_experiment(
        {
            "name": "x",
            "source": {"corpus": {"files": [f"{tmp_path}/source.txt"], "document": "line", **SHARES, **(source or {})}},
            "target": {"corpus": {"files": [f"{tmp_path}/target.csv"], "label": "label", **fields}},
            "comparison": {"labels": ["all"]},
        }
    )
    with pytest.raises(ConfigError) as raised:
        texts.read_both(experiment, Local())
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
    assert "no document of the test split has a label" in error.problem
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


def write(file: Path, splits: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Write documents of these classes in these splits; return the settings of the corpus."""
    rows = [
        f"{split} text {n} of {label},{label},{split}"
        for split, classes in splits.items()
        for label, number in classes.items()
        for n in range(number)
    ]
    file.write_text("\n".join(["text,label,split", *rows]), encoding="utf-8")
    return {"files": [str(file)], "label": "label", "split": "split"}


def read_both(folder: Path, corpus: dict[str, Any], labels: list[Any] | None = None) -> None:
    lines = [f"a line of the source, number {n}" for n in range(200)]
    (folder / "source.txt").write_text("\n".join(lines), encoding="utf-8")
    source = {"files": [str(folder / "source.txt")], "document": "line", "valid_share": 0.2, "test_share": 0.2}
    settings = {"source": {"corpus": source}, "target": {"corpus": corpus}, "comparison": {"labels": labels or ["all"]}}
    texts.read_both(check_experiment({"name": "x"} | settings), Local())


BOTH = {"neg": 40, "pos": 40}
SOUND = {"train": BOTH, "valid": BOTH, "test": BOTH}


def test_sound_corpora_pass_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read_both(tmp_path, write(tmp_path / "target.csv", SOUND), [30, 80, "all"])
    assert caplog.messages == []


def test_few_test_documents_are_said_before_anything_is_trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        read_both(tmp_path, write(tmp_path / "target.csv", SOUND | {"test": {"pos": 1}}))
    (message,) = caplog.messages
    assert message.startswith("No claim is made: the target's test split has 1 document, and a verdict needs at least")


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"train": {"1.0": 40, "0.0": 40}, "valid": {"1.0": 9}, "test": {"1": 40, "0": 40}}, "written in two ways"),
        (SOUND | {"test": {"pos": 40, "neutral": 40}}, r"40 of 80 labelled test documents .* 'neutral' \(40\)"),
        (SOUND | {"test": {"-1": 40}}, "'-1' looks like a label that is withheld"),
        (
            {split: {f"{split}{n}": 1 for n in range(40)} for split in SOUND},
            "120 labelled documents have 120 different",
        ),
    ],
)
def test_labels_that_make_no_sense_stop_before_the_source_is_read(
    tmp_path: Path, read_here: list[str], splits: dict[str, dict[str, int]], said: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=said):
        read_both(tmp_path, write(tmp_path / "target.csv", splits))
    assert read_here == ["target.csv"]


def test_unlabelled_test_documents_stop_before_the_source_is_read(tmp_path: Path, read_here: list[str]) -> None:
    corpus = write(tmp_path / "target.csv", SOUND | {"test": {"-1": 40}}) | {"unlabelled": "-1"}
    with pytest.raises(ConfigError, match="no document of the test split has a label"):
        read_both(tmp_path, corpus)
    assert read_here == ["target.csv"]


def test_fewer_labels_than_classes_and_more_than_there_are_are_refused(tmp_path: Path) -> None:
    classes = {f"class {n}": 4 for n in range(50)}
    corpus = write(tmp_path / "target.csv", dict.fromkeys(("train", "valid", "test"), classes))
    with pytest.raises(ConfigError, match=r"comparison.labels: 2 labels are wanted.*50 classes.* from 50 to 400"):
        read_both(tmp_path, corpus, [2])
    with pytest.raises(ConfigError, match=r"401 labels are wanted.*training and validation splits have 400"):
        read_both(tmp_path, corpus, [401])
    read_both(tmp_path, corpus, [50, 400])


def test_shared_passages_are_named_before_anything_is_trained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are looked for once: another run with the same texts takes them from the cache."""
    quoted = "it was the best of times it was the worst of times it was the age of wisdom"
    (tmp_path / "source.txt").write_text("\n".join(f"{quoted} said number {n}" for n in range(200)), encoding="utf-8")
    corpus = write(tmp_path / "target.csv", SOUND)
    file = tmp_path / "target.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    test = [n for n, line in enumerate(lines) if line.endswith(",test")][:8]
    for n in test:
        lines[n] = f"{n} {quoted} {lines[n]}"
    file.write_text("\n".join(lines), encoding="utf-8")
    source = {"files": [str(tmp_path / "source.txt")], "document": "line", "valid_share": 0.2, "test_share": 0.2}
    settings = {"name": "x", "source": {"corpus": source}, "target": {"corpus": corpus}}
    experiment = check_experiment(settings | {"comparison": {"labels": ["all"]}})
    with caplog.at_level(logging.WARNING):
        _, _, passages = texts.read_both(experiment, Local())
    assert (passages.source, passages.target, passages.test) == (8, 0, 80)
    assert [message for message in caplog.messages if message.startswith("8 of the target's 80 test documents share")]
    monkeypatch.setattr("rnnlm.steps.ingest.find_passages_of", None)
    assert texts.read_both(experiment, Local())[2] == passages

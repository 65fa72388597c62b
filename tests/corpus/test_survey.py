"""What `rnnlm look` sees is what reading reads, and what `rnnlm new` writes is an experiment that can be read."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.corpus import ingest
from rnnlm.corpus.advice import warnings_of
from rnnlm.corpus.proposal import Machine, divided, one_kind, propose
from rnnlm.corpus.scripts import script_of
from rnnlm.corpus.survey import Survey, survey
from rnnlm.errors import ConfigError, DataError
from rnnlm.experiment import load_experiment

WORDS = "the red film was long and the music in it sad but nobody left before the last of its many scenes"
MACHINE = Machine(2, 8)

Rows = list[dict[str, str]]


def _rows(count: int, **columns: Callable[[int], str]) -> Rows:
    texts = (" ".join([*WORDS.split()[n % 7 : n % 7 + 8], f"number {n}"]) for n in range(count))
    return [{"text": text, **{name: make(n) for name, make in columns.items()}} for n, text in enumerate(texts)]


def _csv(rows: Rows, separator: str = ",", header: bool = True) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(folder: Path, kind: str, rows: Rows) -> list[str]:
    """Write rows in a format; return the address."""
    if kind in ("csv", "semicolons.csv", "cp1252.csv", "tsv"):
        separator = {"tsv": "\t", "semicolons.csv": ";"}.get(kind, ",")
        file = folder / f"data.{kind}"
        text = _csv(rows, separator)
        file.write_bytes(text.encode("cp1252" if kind.startswith("cp1252") else "utf-8"))
    elif kind == "noheader.csv":
        file = folder / "data.csv"
        file.write_text(_csv(rows, header=False))
    elif kind == "jsonl":
        file = folder / "data.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        file = folder / "data.parquet"
        pq.write_table(pa.Table.from_pylist(rows), file)
    return [str(file)]


def _look(addresses: list[str], folder: Path, **options: Any) -> Survey:
    (found,) = survey(addresses, folder / "downloads", **options)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Survey:
    file = tmp_path / "news.txt"
    file.write_text("".join(f"{row['text']} in the news.\n" for row in _rows(300)))
    return _look([str(file)], tmp_path, label="")


def _proposed(target: Survey, source: Survey, tmp_path: Path) -> None:
    """Check that the experiment for a target loads, and that reading counts what was seen."""
    proposal = propose(target, source, "small", MACHINE, tmp_path)
    file = tmp_path / "small.yaml"
    file.write_text(proposal.yaml, encoding="utf-8")
    experiment = load_experiment(str(file))
    for kind, corpus in ((target, experiment.target.corpus), (source, experiment.source.corpus)):
        ref = ingest(corpus, tmp_path / f"out-{id(kind)}", downloads=tmp_path / "downloads")
        expected = divided(kind, corpus.valid_share, corpus.test_share)
        assert ref.documents == {split: len(some) for split, some in expected.items()}
        assert all(ref.documents.values())
        if kind is target:
            assert ref.labels == sorted(kind.labels)
            assert sum(ref.documents.values()) == len({one.digest for one in kind.documents})
            sizes = [size for size in experiment.comparison.labels if size != "all"]
            assert all(size < ref.labelled["train"] + ref.labelled["valid"] for size in sizes)


KINDS = ["csv", "semicolons.csv", "cp1252.csv", "tsv", "jsonl", "parquet", "noheader.csv"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_any_format_becomes_an_experiment_that_reads_what_was_seen(
    kind: str, source: Survey, tmp_path: Path
) -> None:
    mood = {"cp1252.csv": "fröhlich — “so”"}.get(kind, "glad")
    rows = _rows(120, mood=lambda n: mood if n % 3 else "sad", number=lambda n: str(10_000 + n))
    target = _look(_write(tmp_path, kind, rows), tmp_path)
    assert len(target.documents) == 120
    assert dict(target.labels) == {mood: 80, "sad": 40}
    assert [column.kind for column in target.columns] == ["text", "label", "id"]
    _proposed(target, source, tmp_path)


@settings(max_examples=25)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30), max_size=12),
    copies=st.integers(0, 5),
    kind=st.sampled_from(["csv", "jsonl", "parquet"]),
)
def test_whatever_texts_there_are_the_counts_are_those_of_reading(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], copies: int, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    rows = _rows(90, label=lambda n: "ab"[n % 2])
    rows += [{"text": text, "label": "a"} for text in texts] + rows[:copies]
    target = _look(_write(folder, kind, rows), folder)
    file = folder / "news.txt"
    file.write_text("".join(f"{row['text']} in the news.\n" for row in _rows(100)))
    _proposed(target, _look([str(file)], folder, label=""), folder)


@pytest.mark.parametrize("layout", ["aclimdb", "labels", "splits and labels"])
def test_folders_of_texts_name_labels_and_splits(layout: str, source: Survey, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for n, row in enumerate(_rows(120)):
        split = ("train", "train", "test")[n // 40]
        split = {"aclimdb": split, "labels": "", "splits and labels": "dev" if n < 20 else split}[layout]
        file = data / split / ("pos" if n % 2 else "neg") / f"{n}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(row["text"])
    target = _look([str(data)], tmp_path)
    assert dict(target.labels) == {"pos": 60, "neg": 60}
    assert (
        target.splits
        == {
            "aclimdb": {"train": 80, "test": 40},
            "labels": {},
            "splits and labels": {"train": 60, "valid": 20, "test": 40},
        }[layout]
    )
    _proposed(target, source, tmp_path)


def test_files_named_by_their_split_are_that_split(source: Survey, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = _rows(150, label=lambda n: "ab"[n % 2])
    (data / "my_test_train.csv").write_text(_csv(rows[:100]))
    # Ten of the texts are in both.
    (data / "my_test_test.csv").write_text(_csv(rows[90:]))
    target = _look([str(data)], tmp_path)
    assert target.splits == {"train": 100, "test": 60}
    assert target.overlap == {"train+test": 10}
    assert any("10 texts are in train and in test" in warning for warning in warnings_of(target))
    _proposed(target, source, tmp_path)


def test_a_split_column_is_used_if_it_has_all_splits(source: Survey, tmp_path: Path) -> None:
    names = ["train", "train", "valid", "test"]
    rows = _rows(160, label=lambda n: "ab"[n % 8 > 3], part=lambda n: names[n % 4])
    target = _look(_write(tmp_path, "csv", rows), tmp_path)
    assert target.splits == {"train": 80, "valid": 40, "test": 40}
    _proposed(target, source, tmp_path)
    assert target.corpus.split == "part"


def test_a_split_column_without_valid_rows_is_used_and_valid_is_cut_from_train(source: Survey, tmp_path: Path) -> None:
    rows = _rows(400, label=lambda n: "ab"[n % 8 > 3], part=lambda n: ["train", "test"][n % 4 > 2])
    target = _look(_write(tmp_path, "csv", rows), tmp_path)
    assert target.splits == {"train": 300, "test": 100}
    _proposed(target, source, tmp_path)
    assert target.corpus.split == "part"


def test_a_split_column_without_test_rows_is_said_and_not_used(source: Survey, tmp_path: Path) -> None:
    rows = _rows(160, label=lambda n: "ab"[n % 8 > 3], split=lambda n: ["train", "valid"][n % 4 > 2])
    target = _look(_write(tmp_path, "csv", rows), tmp_path)
    assert any("'split' has no test rows" in warning for warning in warnings_of(target))
    _proposed(target, source, tmp_path)
    assert target.corpus.split is None


def test_documents_without_label_are_text_for_language_models(source: Survey, tmp_path: Path) -> None:
    rows = _rows(200, label=lambda n: ["bad", "good", "-1", "-1"][n % 4])
    target = _look(_write(tmp_path, "csv", rows), tmp_path)
    assert (target.corpus.unlabelled, target.unlabelled, dict(target.labels)) == ("-1", 100, {"bad": 50, "good": 50})
    _proposed(target, source, tmp_path)


def test_a_class_minus_one_is_a_class_unless_a_file_has_nothing_else(source: Survey, tmp_path: Path) -> None:
    rows = _rows(180, label=lambda n: ["0", "1", "-1"][n % 3])
    target = _look(_write(tmp_path, "csv", rows), tmp_path)
    assert set(target.labels) == {"0", "1", "-1"}
    _proposed(target, source, tmp_path)
    (tmp_path / "train.csv").write_text(_csv(_rows(100, label=lambda n: "01"[n % 2])))
    (tmp_path / "extra.csv").write_text(_csv(_rows(300, label=lambda _: "-1")[200:]))
    found = _look([str(tmp_path / "train.csv"), str(tmp_path / "extra.csv")], tmp_path)
    assert (set(found.labels), found.unlabelled) == ({"0", "1"}, 100)


def test_without_labels_language_models_alone_are_compared(source: Survey, tmp_path: Path) -> None:
    rows = _rows(160, number=lambda n: f"x{n}")
    target = _look(_write(tmp_path, "csv", rows), tmp_path)
    _proposed(target, source, tmp_path)
    assert load_experiment(str(tmp_path / "small.yaml")).language_models_alone


def test_documents_of_a_group_stay_together(source: Survey, tmp_path: Path) -> None:
    rows = _rows(300, label=lambda n: "ab"[n % 2], author=lambda n: f"author {n % 40}")
    target = _look(_write(tmp_path, "csv", rows), tmp_path)
    assert target.corpus.group == "author"
    _proposed(target, source, tmp_path)


def test_the_targets_test_documents_are_left_out_of_the_source(tmp_path: Path) -> None:
    rows = _rows(200, label=lambda n: "ab"[n % 2])
    for name, some in (("train", rows[:120]), ("test", rows[120:160])):
        (tmp_path / f"{name}.csv").write_text(_csv(some))
    (tmp_path / "more.csv").write_text(_csv(_rows(300)))
    target = _look([str(tmp_path / "train.csv"), str(tmp_path / "test.csv")], tmp_path)
    source = _look([str(tmp_path / "more.csv")], tmp_path, label="")
    file = tmp_path / "it.yaml"
    file.write_text(propose(target, source, "it", MACHINE, tmp_path).yaml)
    corpus = load_experiment(str(file)).source.corpus
    assert ingest(corpus, tmp_path / "out", downloads=tmp_path).dropped["excluded"] == 40


def test_a_target_is_no_source_of_itself(tmp_path: Path) -> None:
    address = _write(tmp_path, "csv", _rows(200, label=lambda n: "ab"[n % 2]))
    with pytest.raises(DataError, match="no documents that are not the target's"):
        propose(_look(address, tmp_path), _look(address, tmp_path, label=""), "it", MACHINE, tmp_path)


def _warned(tmp_path: Path, rows: Rows) -> str:
    return " ".join(warnings_of(_look(_write(tmp_path, "csv", rows), tmp_path)))


def test_what_may_go_wrong_is_said(tmp_path: Path) -> None:
    assert "'1.0' are two classes" in _warned(tmp_path, _rows(90, label=lambda n: ["0", "1", "1.0"][n % 3]))
    assert "nearly every value of the column" in _warned(tmp_path, _rows(90, label=lambda n: f"x{n}")).lower()
    assert "99.0% of the labelled documents are 'a'" in _warned(tmp_path, _rows(200, label=lambda n: "ab"[n > 197]))
    assert "too few" in _warned(tmp_path, _rows(20))
    assert "fewer than 5 documents: 'b' (1)" in _warned(tmp_path, _rows(90, label=lambda n: "ab"[n == 7]))
    mixed = _warned(tmp_path, [*_rows(50), {"text": "long " * 5_000}])
    assert "One document has" in mixed
    chinese = [{"text": f"这部电影的音乐非常好听我很喜欢{n}"} for n in range(50)]
    assert "Han is written without spaces" in _warned(tmp_path, chinese)
    assert "'part' seems to name splits" in _warned(tmp_path, _rows(90, part=lambda n: ["train", "dev"][n % 2]))
    assert "'label' is an id" not in _warned(tmp_path, _rows(90, label=lambda n: "ab"[n % 2]))


def test_classes_that_training_never_sees_are_refused(source: Survey, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(_csv(_rows(90, label=lambda n: ["1.0", "0.0"][n % 2])))
    (tmp_path / "test.csv").write_text(_csv(_rows(40, label=lambda n: ["1", "0"][n % 2])))
    target = _look([str(tmp_path / "*.csv")], tmp_path)
    assert "one number is written in two ways" in " ".join(warnings_of(target))
    with pytest.raises(DataError, match="one number is written in two ways"):
        propose(target, source, "small", MACHINE, tmp_path)


def test_no_more_is_read_than_the_limit_and_each_file_has_a_share(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text(_csv(_rows(100, label=lambda n: "ab"[n % 2])))
    found = _look([str(tmp_path / "*.csv")], tmp_path, limit=60)
    assert (len(found.documents), found.whole, found.splits) == (60, False, {"train": 30, "test": 30})
    whole = _look([str(tmp_path / "*.csv")], tmp_path, limit=200)
    assert (len(whole.documents), whole.whole) == (200, True)


def test_files_of_several_kinds_are_no_corpus(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("What the data are.\n")
    (tmp_path / "a.csv").write_text(_csv(_rows(50, label=lambda n: "ab"[n % 2])))
    kinds = survey([str(tmp_path)], tmp_path)
    assert one_kind(kinds, "target").format == "csv"
    (tmp_path / "b.csv").write_text(_csv(_rows(50)))
    with pytest.raises(DataError, match=r"of 2 kinds: .*a\.csv \(csv; columns text, label\)"):
        one_kind(survey([str(tmp_path)], tmp_path), "target")


def test_what_cannot_be_read_is_said_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(_csv(_rows(50)) + "one,two,three\n")
    found = _look([str(file)], tmp_path)
    assert len(found.documents) == 50
    assert "line 52: a row of 3 fields" in warnings_of(found)[0]
    with pytest.raises(DataError, match="a row of 3 fields"):
        one_kind([found], "target")


def test_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(_csv(_rows(50)))
    with pytest.raises(ConfigError, match=r"no column 'stars' for the label\. There are: text"):
        survey([str(file)], tmp_path, label="stars")


def test_letters_are_of_their_scripts() -> None:
    letters = {"a": "Latin", "é": "Latin", "я": "Cyrillic", "λ": "Greek", "中": "Han", "か": "Kana", "한": "Hangul"}
    letters |= {"ก": "Thai", "ع": "Arabic", "ש": "Hebrew", "अ": "Devanagari", "𠀀": "Han"}
    assert {letter: script_of(letter) for letter in letters} == letters


def test_words_with_tags_are_answered_with_the_experiment_that_reads_them(tmp_path: Path) -> None:
    words, tags = ["Kofi", "Annan", "met", "her"], ["B-PER", "I-PER", "O", "O"]
    pq.write_table(pa.table({"id": [1, 2], "tokens": [words] * 2, "ner_tags": [tags] * 2}), tmp_path / "lists.parquet")
    (tmp_path / "lists.jsonl").write_text(json.dumps({"tokens": words, "ner_tags": tags}) + "\n", encoding="utf-8")
    (tmp_path / "columns.conll").write_text("Kofi B-PER\nAnnan I-PER\n\n", encoding="utf-8")
    for name in ("lists.parquet", "lists.jsonl"):
        with pytest.raises(ConfigError, match=r'task: tagging, .*text: "tokens", label: "ner_tags"'):
            survey([str(tmp_path / name)], tmp_path)
    # A column that holds anything else is none of words, and a wrong name is a wrong name.
    rows = [{"text": f"{WORDS} {n}", "topics": ["a", "b"], "meta": {"id": n}} for n in range(20)]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (found,) = survey([str(tmp_path / "texts.jsonl")], tmp_path)
    assert found.corpus.texts == ["text"]
    with pytest.raises(ConfigError, match="no column 'body' for the text"):
        survey([str(tmp_path / "texts.jsonl")], tmp_path, text="body")
    with pytest.raises(ConfigError, match=r"task: tagging, .*label: -1"):
        survey([str(tmp_path / "columns.conll")], tmp_path)

"""Reading a split, against plain loops."""

import dataclasses
import mmap
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm import settings as config
from rnnlm.errors import DataError
from rnnlm.refs import TokensRef
from rnnlm.store import file_sha256
from rnnlm.tokens import Text, TextTokenizer, Vocabulary, read_text, reader
from rnnlm.tokens.kinds import train
from rnnlm.tokens.reader import split_row_groups


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokensRef:
    path = tmp_path_factory.mktemp("tokens") / "tokens.parquet"
    train(config.Tokenizer(kind="character", vocabulary_size=300), [["abc"]]).save(
        str(path.with_name("tokenizer.json"))
    )
    random = np.random.default_rng(0)
    splits = ["train"] * 7 + ["valid"] * 2 + ["test"] * 3
    table = pa.table(
        {
            "id": [f"d{i}" for i in range(12)],
            "split": splits,
            "label": pa.array([i % 3 if i % 4 else None for i in range(12)], pa.int16()),
            "ids": pa.array([random.integers(0, 300, i % 5).tolist() for i in range(12)], pa.large_list(pa.uint16())),
            "n_characters": pa.array(range(12), pa.int64()),
            "n_bytes": pa.array(range(100, 112), pa.int64()),
            "n_words": pa.array(range(200, 212), pa.int64()),
        }
    )
    with pq.ParquetWriter(path, table.schema) as writer:
        for start, stop in ((0, 4), (4, 7), (7, 9), (9, 12)):
            writer.write_table(table.slice(start, stop - start))
    return ref(path)


def ref(path: Path) -> TokensRef:
    """A reference to a file that was not written by the tokenize step."""
    digests = {name: name for name in ("tokenizer_sha256", "documents_sha256")}
    numbers: dict[str, Any] = {"tokens": {}, "unknown": {}, "documents": {}, "labels": [], "vocabulary_size": 7}
    sha256 = file_sha256(path) if path.exists() else "0"
    return TokensRef(path=path.parent, sha256=sha256, **digests, **numbers)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("split", ["train", "valid", "test", "none"])
def test_a_split_is_what_a_plain_loop_reads(tokens: TokensRef, split: str) -> None:
    rows = [row for row in pq.read_table(tokens.file).to_pylist() if row["split"] == split]
    read = read_text(tokens, split)
    assert len(read) == len(rows)
    assert read.ids.dtype == np.uint16
    assert read.offsets.dtype == np.int64
    assert read.offsets[0] == 0
    assert read.offsets[-1] == len(read.ids)
    assert read.lengths.tolist() == [len(row["ids"]) for row in rows]
    for index, row in enumerate(rows):
        assert read.document(index).tolist() == row["ids"]
        assert read.labels[index] == (-1 if row["label"] is None else row["label"])
        for name in ("n_characters", "n_bytes", "n_words"):
            assert getattr(read, name)[index] == row[name]
        assert read.document_ids[index] == row["id"]
    assert read.labels.dtype == np.int16


def test_only_the_row_groups_of_the_split_are_read(tokens: TokensRef) -> None:
    with pq.ParquetFile(tokens.file) as parquet:
        assert [split_row_groups(parquet, split) for split in ("train", "valid", "test")] == [[0, 1], [2], [3]]


def test_a_row_group_of_several_splits_is_parted(tokens: TokensRef, tmp_path: Path) -> None:
    table = pq.read_table(tokens.file)
    pq.write_table(table, tmp_path / "tokens.parquet")
    shutil.copy(tokens.tokenizer, tmp_path)
    for split in ("train", "valid", "test"):
        together, parted = read_text(ref(tmp_path / "tokens.parquet"), split), read_text(tokens, split)
        assert np.array_equal(together.read(), parted.read())
        assert np.array_equal(together.offsets, parted.offsets)


@pytest.mark.parametrize("split", ["train", "valid", "test", "none"])
def test_a_mapped_split_is_the_same_at_the_first_call_and_later(tokens: TokensRef, split: str) -> None:
    read = read_text(tokens, split)
    for _ in range(2):
        mapped = read_text(tokens, split, mapped=True)
        for name in ("ids", "offsets", "labels", "n_characters", "n_bytes", "n_words", "document_ids"):
            found, expected = getattr(mapped, name), getattr(read, name)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype
    if len(read.ids):
        assert isinstance(mapped.ids, np.ndarray)
        assert isinstance(getattr(mapped.ids.base, "obj", None), mmap.mmap)
        assert not mapped.ids.flags.writeable


def test_counts_are_those_of_all_at_once(tokens: TokensRef, monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_text(tokens, "train")
    read = dataclasses.replace(read, vocabulary=dataclasses.replace(read.vocabulary, size=300))
    monkeypatch.setattr("rnnlm.tokens.text.COUNTED_AT_ONCE", 3)
    np.testing.assert_array_equal(read.counts(), np.bincount(read.read(), minlength=300))


def test_a_text_has_the_special_tokens_of_its_tokenizer(tokens: TokensRef) -> None:
    tokenizer = TextTokenizer.load(tokens.tokenizer)
    vocabulary = read_text(tokens, "train").vocabulary
    assert vocabulary == Vocabulary(tokenizer.size, tokenizer.eos, tokenizer.unk, tokenizer.bos)


@pytest.mark.parametrize("bos", [7, None])
def test_what_is_predicted_is_all_but_the_beginnings(tokens: TokensRef, bos: int | None) -> None:
    read = read_text(tokens, "train")
    ids = read.read().copy()
    ids[read.starts[read.lengths > 0]] = 7
    text = dataclasses.replace(read, ids=ids, vocabulary=dataclasses.replace(read.vocabulary, bos=bos)).take([1, 2, 3])
    by_document = [text.predicted[start:end].sum() for start, end in zip(text.starts, text.ends, strict=True)]
    assert by_document == text.n_predicted.tolist() == [n if bos is None else n - 1 for n in (1, 2, 3)]


def test_reading_writes_nothing_into_the_step_that_was_finished(tokens: TokensRef, home: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [tokens.path, *tokens.path.rglob("*")]}
    beside = set(tokens.path.parent.iterdir())
    for split in ("train", "valid", "test"):
        for mapped in (False, True):
            read_text(tokens, split, mapped=mapped)
    assert {path: path.stat().st_mtime_ns for path in [tokens.path, *tokens.path.rglob("*")]} == before
    assert set(tokens.path.parent.iterdir()) == beside
    assert len(list((home / "mapped").iterdir())) == 3


def test_a_text_is_copied_once_though_several_read_it_at_the_same_time(
    tokens: TokensRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []
    copy = reader._copy_ids

    def slow(*arguments: Any) -> None:
        copies.append(1)
        time.sleep(0.2)
        copy(*arguments)

    monkeypatch.setattr(reader, "_copy_ids", slow)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: read_text(tokens, "train", mapped=True).read().tolist(), range(4)))
    assert found == [read_text(tokens, "train").read().tolist()] * 4
    assert len(copies) == 1


def test_what_was_mapped_of_another_content_is_not_taken(tokens: TokensRef, tmp_path: Path) -> None:
    read_text(tokens, "train", mapped=True)
    table = pq.read_table(tokens.file).slice(1)
    pq.write_table(table, tmp_path / "tokens.parquet")
    shutil.copy(tokens.tokenizer, tmp_path)
    other = ref(tmp_path / "tokens.parquet")
    np.testing.assert_array_equal(read_text(other, "train", mapped=True).read(), read_text(other, "train").read())


@given(places=st.lists(st.integers(0, 6)))
def test_taking_is_what_a_plain_loop_takes(tokens: TokensRef, places: list[int]) -> None:
    read = read_text(tokens, "train")
    taken = read.take(places)
    assert isinstance(taken, Text)
    assert len(taken) == len(places)
    assert taken.ids.dtype == read.ids.dtype
    assert taken.offsets.dtype == read.offsets.dtype
    for new, old in enumerate(places):
        assert np.array_equal(taken.document(new), read.document(old))
        assert taken.labels[new] == read.labels[old]
        assert taken.n_words[new] == read.n_words[old]
        assert taken.document_ids[new] == read.document_ids[old]


def test_places_count_from_the_end_and_stop_there(tokens: TokensRef) -> None:
    read = read_text(tokens, "train")
    assert np.array_equal(read.document(-1), read.document(6))
    assert np.array_equal(read.take([-1]).read(), read.document(6))
    with pytest.raises(IndexError):
        read.document(7)
    with pytest.raises(IndexError):
        read.take([7])


@pytest.mark.parametrize("content", [None, b"", b"PAR1 half of a file"])
def test_a_broken_file_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "tokens.parquet"
    if content is not None:
        path.write_bytes(content)
    for mapped in (False, True):
        with pytest.raises(DataError, match=r"tokens\.parquet: cannot be read as Parquet"):
            read_text(ref(path), "train", mapped=mapped)


def test_a_file_of_other_columns_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokens.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_text(ref(path), "train")

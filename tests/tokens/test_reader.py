"""Reading a split, against plain loops."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import DataError
from rnnlm.tokens import EncodedDocuments, map_split, read_split
from rnnlm.tokens.reader import split_row_groups


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens.parquet"
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
    return path


@pytest.mark.parametrize("split", ["train", "valid", "test", "none"])
def test_a_split_is_what_a_plain_loop_reads(file: Path, split: str) -> None:
    rows = [row for row in pq.read_table(file).to_pylist() if row["split"] == split]
    read = read_split(file, split)
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


def test_only_the_row_groups_of_the_split_are_read(file: Path) -> None:
    with pq.ParquetFile(file) as parquet:
        assert [split_row_groups(parquet, split) for split in ("train", "valid", "test")] == [[0, 1], [2], [3]]


def test_a_row_group_of_several_splits_is_parted(file: Path, tmp_path: Path) -> None:
    table = pq.read_table(file)
    pq.write_table(table, tmp_path / "one.parquet")
    for split in ("train", "valid", "test"):
        together, parted = read_split(tmp_path / "one.parquet", split), read_split(file, split)
        assert np.array_equal(together.ids, parted.ids)
        assert np.array_equal(together.offsets, parted.offsets)


@pytest.mark.parametrize("split", ["train", "valid", "test", "none"])
def test_a_mapped_split_is_the_same_at_the_first_call_and_later(file: Path, split: str) -> None:
    read = read_split(file, split)
    for _ in range(2):
        mapped = map_split(file, split)
        for name in ("ids", "offsets", "labels", "n_characters", "n_bytes", "n_words", "document_ids"):
            found, expected = getattr(mapped, name), getattr(read, name)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype
    if len(read.ids):
        assert isinstance(mapped.ids, np.memmap)
        assert not mapped.ids.flags.writeable


def test_counts_are_those_of_all_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = read_split(file, "train")
    monkeypatch.setattr("rnnlm.tokens.reader.COUNTED_AT_ONCE", 3)
    np.testing.assert_array_equal(read.counts(300), np.bincount(read.ids, minlength=300))


@given(places=st.lists(st.integers(0, 6)))
def test_taking_is_what_a_plain_loop_takes(file: Path, places: list[int]) -> None:
    read = read_split(file, "train")
    taken = read.take(places)
    assert isinstance(taken, EncodedDocuments)
    assert len(taken) == len(places)
    assert taken.ids.dtype == read.ids.dtype
    assert taken.offsets.dtype == read.offsets.dtype
    for new, old in enumerate(places):
        assert np.array_equal(taken.document(new), read.document(old))
        assert taken.labels[new] == read.labels[old]
        assert taken.n_words[new] == read.n_words[old]
        assert taken.document_ids[new] == read.document_ids[old]


def test_places_count_from_the_end_and_stop_there(file: Path) -> None:
    read = read_split(file, "train")
    assert np.array_equal(read.document(-1), read.document(6))
    assert np.array_equal(read.take([-1]).ids, read.document(6))
    with pytest.raises(IndexError):
        read.document(7)
    with pytest.raises(IndexError):
        read.take([7])


@pytest.mark.parametrize("content", [None, b"", b"PAR1 half of a file"])
def test_a_broken_file_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "tokens.parquet"
    if content is not None:
        path.write_bytes(content)
    for read in (read_split, map_split):
        with pytest.raises(DataError, match=r"tokens\.parquet: cannot be read as Parquet"):
            read(path, "train")


def test_a_file_of_other_columns_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokens.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_split(path, "train")

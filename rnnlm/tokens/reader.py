"""Reading `tokens.parquet`: one split as flat NumPy arrays, in memory or memory-mapped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.errors import DataError
from rnnlm.store import made_anew, whole_folder

NO_LABEL = -1
COUNTED_AT_ONCE = 10_000_000  # NumPy counts in 64-bit integers: 80 MB at once


@dataclass(frozen=True, eq=False)
class EncodedDocuments:
    """Documents as one flat array of ids; `ids[offsets[i]:offsets[i + 1]]` is document i.

    Attributes:
        ids: Token ids of all documents, in the smallest unsigned integer type of the vocabulary.
        offsets: Where each document begins, and the end of the last: one more than there are documents.
        labels: Class index of each document; -1 for none.
        n_characters: Characters of each document's text.
        n_bytes: Its bytes in UTF-8.
        n_words: Its words, parted by white space.
        document_ids: The id that each document got when it was ingested.
    """

    ids: npt.NDArray[np.unsignedinteger[Any]]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int16]
    n_characters: npt.NDArray[np.int64]
    n_bytes: npt.NDArray[np.int64]
    n_words: npt.NDArray[np.int64]
    document_ids: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each document."""
        return np.diff(self.offsets)

    def document(self, index: int) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Give the ids of one document, as a view."""
        index = range(len(self))[index]
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def counts(self, size: int) -> npt.NDArray[np.int64]:
        """Give how often each of `size` tokens stands in the documents."""
        total = np.zeros(size, np.int64)
        for start in range(0, len(self.ids), COUNTED_AT_ONCE):
            total += np.bincount(self.ids[start : start + COUNTED_AT_ONCE], minlength=size)
        return total

    def take(self, indices: npt.ArrayLike) -> "EncodedDocuments":
        """Give the documents at these places, in this order; a place may come twice."""
        places = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[places]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        shift = self.offsets[:-1][places] - offsets[:-1]
        return EncodedDocuments(
            ids=self.ids[np.arange(offsets[-1]) + np.repeat(shift, lengths)],
            offsets=offsets,
            labels=self.labels[places],
            n_characters=self.n_characters[places],
            n_bytes=self.n_bytes[places],
            n_words=self.n_words[places],
            document_ids=self.document_ids[places],
        )

    def labelled(self) -> "EncodedDocuments":
        """Give the documents that have a label."""
        return self.take(np.flatnonzero(self.labels != NO_LABEL))


def read_split(file: Path, split: str) -> EncodedDocuments:
    """Read one split of `tokens.parquet`; the rest of the file is not touched.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        with pq.ParquetFile(file, memory_map=True) as parquet:
            table = parquet.read_row_groups(split_row_groups(parquet, split))
        table = table.filter(pc.equal(table["split"], split)).combine_chunks()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(file, error) from error
    ids = table["ids"].combine_chunks()
    return _documents(table, ids.values.to_numpy(), ids.offsets.to_numpy())


def map_split(file: Path, split: str) -> EncodedDocuments:
    """Read one split with its ids memory-mapped, for text that is larger than the memory.

    Parquet cannot be mapped: at the first call the ids are copied to a flat file beside it, a row group at a time.

    Raises:
        DataError: If the file cannot be read.
        StoreError: If the disk is full.
    """
    flat = file.with_name(f"{file.stem}-{split}")
    try:
        with pq.ParquetFile(file, memory_map=True) as parquet:
            groups = split_row_groups(parquet, split)
            if not flat.exists():
                with whole_folder(flat) as work:
                    _copy_ids(parquet, groups, split, work)
            others = [name for name in parquet.schema_arrow.names if name != "ids"]
            table = parquet.read_row_groups(groups, columns=others)
            dtype = parquet.schema_arrow.field("ids").type.value_type.to_pandas_dtype()
        table = table.filter(pc.equal(table["split"], split)).combine_chunks()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(file, error) from error
    offsets = np.concatenate(([0], np.cumsum(np.fromfile(flat / "lengths", np.int64))))
    # An empty file cannot be mapped.
    ids = np.memmap(flat / "ids", dtype, mode="r") if offsets[-1] else np.zeros(0, dtype)
    return _documents(table, ids, offsets)


def _copy_ids(parquet: pq.ParquetFile, groups: list[int], split: str, folder: Path) -> None:
    """Write the ids of a split, and the documents' lengths, one after the other."""
    with (folder / "ids").open("wb") as ids, (folder / "lengths").open("wb") as lengths:
        for group in groups:
            table = parquet.read_row_group(group, columns=["split", "ids"])
            documents = table.filter(pc.equal(table["split"], split))["ids"].combine_chunks()
            lengths.write(np.diff(documents.offsets.to_numpy()).astype(np.int64).data)
            ids.write(np.ascontiguousarray(documents.flatten().to_numpy()).data)


def _documents(
    table: pa.Table, ids: npt.NDArray[np.unsignedinteger[Any]], offsets: npt.NDArray[np.int64]
) -> EncodedDocuments:
    return EncodedDocuments(
        ids=ids,
        offsets=offsets,
        labels=table["label"].fill_null(NO_LABEL).to_numpy(),
        n_characters=table["n_characters"].to_numpy(),
        n_bytes=table["n_bytes"].to_numpy(),
        n_words=table["n_words"].to_numpy(),
        document_ids=table["id"].to_numpy(),
    )


def split_row_groups(parquet: pq.ParquetFile, split: str) -> list[int]:
    """Give the row groups of a file that may hold documents of a split, going by their statistics."""
    column = parquet.schema_arrow.names.index("split")
    groups = []
    for group in range(parquet.num_row_groups):
        statistics = parquet.metadata.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_min_max or statistics.min <= split <= statistics.max:
            groups.append(group)
    return groups


def unreadable(file: Path, error: Exception) -> DataError:
    """Give the error for a Parquet file of ours that cannot be read."""
    return DataError(f"cannot be read as Parquet: {error}", where=str(file), remedy=made_anew(file))

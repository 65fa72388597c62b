"""Reading `tokens.parquet`, or the files that a large text is in: one split, in memory or memory-mapped."""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.checksums import checked, is_whole
from rnnlm.errors import DataError
from rnnlm.process import alone
from rnnlm.refs import TokensRef
from rnnlm.store import home, made_anew, mark_used, whole_folder
from rnnlm.tokens.mapped import FlatFile, damaged, mapped_ids
from rnnlm.tokens.text import NO_LABEL, Text, Vocabulary
from rnnlm.tokens.tokenizer import TextTokenizer


def read_text(tokens: TokensRef, split: str, *, mapped: bool = False) -> Text:
    """Read one split of a tokenize step's output.

    Args:
        tokens: The output.
        split: train, valid or test; the rest of the files is not touched.
        mapped: Whether the ids are memory-mapped, for text that is larger than the memory.

    Raises:
        DataError: If a file cannot be read.
        StoreError: If the ids are to be mapped and the disk is full.
    """
    found = [_read_file(tokens, number, split, mapped) for number in range(tokens.n_files)]
    table = pa.concat_tables([of_file.table for of_file in found]).combine_chunks()
    if mapped:
        copies = [of_file.copy for of_file in found if of_file.copy]
        ids = mapped_ids([copy.ids for copy in copies])
        offsets = np.concatenate(([0], np.cumsum(np.concatenate([copy.lengths for copy in copies]))))
    else:
        lists = table["ids"].combine_chunks()
        ids, offsets = lists.values.to_numpy(), lists.offsets.to_numpy()
    return Text(
        vocabulary=_vocabulary(tokens.tokenizer, tokens.tokenizer_sha256),
        ids=ids,
        offsets=offsets,
        labels=_labels(table["label"]),
        n_characters=table["n_characters"].to_numpy(),
        n_bytes=table["n_bytes"].to_numpy(),
        n_words=table["n_words"].to_numpy(),
        document_ids=table["id"].to_numpy(),
        words=_lists(table["lasts"]) if "lasts" in table.column_names else None,
    )


def _labels(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return class indices, numbers or tags, with what means that a document has no label."""
    if pa.types.is_list(column.type):
        return _lists(column)
    return np.asarray(column.fill_null(NO_LABEL if pa.types.is_integer(column.type) else np.nan).to_numpy())


def _lists(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """Return a column of lists as an array of arrays, None where there is none."""
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False), object)


@functools.lru_cache(maxsize=8)  # a cell of the comparison reads three splits
def _vocabulary(tokenizer: Path, _: str) -> Vocabulary:
    """Return the vocabulary of a tokenizer's file; the digest tells contents apart."""
    return TextTokenizer.load(tokenizer).vocabulary


class _Copy(NamedTuple):
    """The ids of one split in one file, copied flat.

    Attributes:
        ids: Where they are.
        lengths: Number of tokens of each document.
    """

    ids: FlatFile
    lengths: npt.NDArray[np.int64]


class _OfFile(NamedTuple):
    """What one file holds of a split.

    Attributes:
        table: Its documents; their ids only if they are not mapped.
        copy: Its ids, if they are mapped.
    """

    table: pa.Table
    copy: _Copy | None


def _read_file(tokens: TokensRef, number: int, split: str, mapped: bool) -> _OfFile:
    file = checked(tokens.files[number])
    try:
        with pq.ParquetFile(file, memory_map=True) as parquet:
            groups = split_row_groups(parquet, split)
            parquet.schema_arrow.field("ids")  # a file of other columns has none
            columns = [name for name in parquet.schema_arrow.names if not mapped or name != "ids"]
            table = parquet.read_row_groups(groups, columns=columns)
            table = table.filter(pc.equal(table["split"], split))
            if not mapped:
                return _OfFile(table, None)
            copy = _copied(parquet, groups, split, _name(tokens, number, split))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(file, error) from error
    if len(copy.lengths) != len(table):
        problem = f"has the lengths of {len(copy.lengths):,} documents, not of {len(table):,}"
        raise damaged(copy.ids.path.with_name("lengths"), problem)
    return _OfFile(table, copy)


def _name(tokens: TokensRef, number: int, split: str) -> str:
    """Return the name of a copy, which follows from the digest of the content."""
    return f"{tokens.sha256[:32]}-{split}" + (f"-{number:05d}" if tokens.n_files > 1 else "")


def _copied(parquet: pq.ParquetFile, groups: list[int], split: str, name: str) -> _Copy:
    """Return the ids of a split in a flat file, which can be mapped as Parquet cannot, and the documents' lengths.

    The first call copies them, a row group at a time. The copy is not part of the step's output, which is never
    written to again.
    """
    flat = home() / "mapped" / name
    dtype = np.dtype(parquet.schema_arrow.field("ids").type.value_type.to_pandas_dtype())
    if not groups:
        return _Copy(FlatFile(flat / "ids", dtype, 0), np.zeros(0, np.int64))
    if not is_whole(flat, listed=True):
        # Cells that run at the same time read the same text: one of them copies it, the others wait.
        with alone(f"mapped-{flat.name}", lambda: None):
            if not is_whole(flat, listed=True):
                with whole_folder(flat) as work:
                    _copy_ids(parquet, groups, split, work)
    mark_used(flat)
    written = flat / "lengths"
    lengths = np.fromfile(written, np.int64) if written.exists() else np.zeros(0, np.int64)
    return _Copy(FlatFile(flat / "ids", dtype, int(lengths.sum())), lengths)


def _copy_ids(parquet: pq.ParquetFile, groups: list[int], split: str, folder: Path) -> None:
    """Write the ids of a split, and the documents' lengths, one after the other."""
    with (folder / "ids").open("wb") as ids, (folder / "lengths").open("wb") as lengths:
        for group in groups:
            table = parquet.read_row_group(group, columns=["split", "ids"])
            documents = table.filter(pc.equal(table["split"], split))["ids"].combine_chunks()
            lengths.write(np.diff(documents.offsets.to_numpy()).astype(np.int64).data)
            ids.write(np.ascontiguousarray(documents.flatten().to_numpy()).data)


def split_row_groups(parquet: pq.ParquetFile, split: str) -> list[int]:
    """Return the row groups of a file that may hold documents of a split, going by their statistics."""
    column = parquet.schema_arrow.names.index("split")
    groups = []
    for group in range(parquet.num_row_groups):
        statistics = parquet.metadata.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_min_max or statistics.min <= split <= statistics.max:
            groups.append(group)
    return groups


def unreadable(file: Path, error: Exception) -> DataError:
    """Return the error for a Parquet file of ours that cannot be read."""
    return DataError(f"cannot be read as Parquet: {error}", where=str(file), remedy=made_anew(file))

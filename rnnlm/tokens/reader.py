"""Reading `tokens.parquet`: the text of one split, in memory or memory-mapped."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.errors import DataError
from rnnlm.process import alone
from rnnlm.refs import TokensRef
from rnnlm.store import home, made_anew, whole_folder
from rnnlm.tokens.text import NO_LABEL, Text, Tokens, Vocabulary
from rnnlm.tokens.tokenizer import TextTokenizer


def read_text(tokens: TokensRef, split: str, *, mapped: bool = False) -> Text:
    """Read one split of a tokenize step's output.

    Args:
        tokens: The output.
        split: train, valid or test; the rest of the file is not touched.
        mapped: Whether the ids are memory-mapped, for text that is larger than the memory.

    Raises:
        DataError: If a file cannot be read.
        StoreError: If the ids are to be mapped and the disk is full.
    """
    try:
        with pq.ParquetFile(tokens.file, memory_map=True) as parquet:
            groups = split_row_groups(parquet, split)
            others = [name for name in parquet.schema_arrow.names if name != "ids"]
            columns = others if mapped else [*others, "ids"]
            table = parquet.read_row_groups(groups, columns=columns)
            table = table.filter(pc.equal(table["split"], split)).combine_chunks()
            if mapped:
                ids, offsets = _mapped_ids(parquet, groups, split, tokens.sha256)
            else:
                lists = table["ids"].combine_chunks()
                ids, offsets = lists.values.to_numpy(), lists.offsets.to_numpy()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(tokens.file, error) from error
    return Text(
        vocabulary=_vocabulary(tokens.tokenizer, tokens.tokenizer_sha256),
        ids=ids,
        offsets=offsets,
        labels=_labels(table["label"]),
        n_characters=table["n_characters"].to_numpy(),
        n_bytes=table["n_bytes"].to_numpy(),
        n_words=table["n_words"].to_numpy(),
        document_ids=table["id"].to_numpy(),
    )


def _labels(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return class indices, or numbers, with what means that a document has no label."""
    return np.asarray(column.fill_null(NO_LABEL if pa.types.is_integer(column.type) else np.nan).to_numpy())


@functools.lru_cache(maxsize=8)  # a cell of the comparison reads three splits
def _vocabulary(tokenizer: Path, _: str) -> Vocabulary:
    """Return the vocabulary of a tokenizer's file; the digest tells contents apart."""
    return TextTokenizer.load(tokenizer).vocabulary


def _mapped_ids(
    parquet: pq.ParquetFile, groups: list[int], split: str, sha256: str
) -> tuple[Tokens, npt.NDArray[np.int64]]:
    """Return the ids of a split memory-mapped, and the documents' offsets.

    Parquet cannot be mapped: at the first call the ids are copied to a flat file, a row group at a time. It is not
    part of the step's output, which is never written to again: its place follows from the digest of the content.
    """
    flat = home() / "mapped" / f"{sha256[:32]}-{split}"
    if not flat.exists():
        # Cells that run at the same time read the same text: one of them copies it, the others wait.
        with alone(f"mapped-{flat.name}", lambda: None):
            if not flat.exists():
                with whole_folder(flat) as work:
                    _copy_ids(parquet, groups, split, work)
    dtype = parquet.schema_arrow.field("ids").type.value_type.to_pandas_dtype()
    offsets = np.concatenate(([0], np.cumsum(np.fromfile(flat / "lengths", np.int64))))
    # An empty file cannot be mapped.
    ids = np.memmap(flat / "ids", dtype, mode="r") if offsets[-1] else np.zeros(0, dtype)
    return ids, offsets


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

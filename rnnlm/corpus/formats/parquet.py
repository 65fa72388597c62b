"""Parquet: one document per row, read in small batches."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.corpus.files import File
from rnnlm.corpus.formats.record import Record, find_columns, record_of
from rnnlm.errors import DataError
from rnnlm.settings import Corpus

_ROWS = 256
# Bytes of a batch's text from which its rows are made one by one. A file of a kilobyte can say the same megabytes in
# every row.
_LARGE = 64_000_000
_BYTES = 4  # of a character, at most


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the rows of a file."""
    with file.open_at_random() as binary:
        parquet = opened(binary)
        names = find_columns(corpus, parquet.schema_arrow.names, file.address)
        rows = _rows(parquet, file, corpus.max_characters, list(names.values()))
        for number, values in enumerate(rows, 1):
            yield record_of(corpus, values, names, file, f"row {number}")


def parquet_rows(file: File, corpus: Corpus) -> Iterator[dict[str, object]]:
    """Read the rows of a file with all their columns."""
    with file.open_at_random() as binary:
        yield from _rows(opened(binary), file, corpus.max_characters)


def opened(binary: object) -> pq.ParquetFile:
    """Open a file whose repeated texts are in memory once."""
    schema = pq.ParquetFile(binary).schema_arrow
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    return pq.ParquetFile(binary, read_dictionary=texts)


def _rows(
    parquet: pq.ParquetFile, file: File, most: int, columns: list[str] | None = None
) -> Iterator[dict[str, object]]:
    check_sizes(parquet, file, most, columns)
    for batch in parquet.iter_batches(batch_size=_ROWS, columns=columns):
        yield from rows_of(batch)


def check_sizes(parquet: pq.ParquetFile, file: File, most: int, columns: list[str] | None = None) -> None:
    """Refuse a file whose values, going by what it says of them, are longer in the mean than any may be.

    Raises:
        DataError: If they are.
    """
    for number in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(number)
        for position in range(group.num_columns):
            chunk = group.column(position)
            name, rows = chunk.path_in_schema.partition(".")[0], max(1, group.num_rows)
            if columns is not None and name not in columns:
                continue
            if chunk.total_uncompressed_size > rows * most * _BYTES or chunk.num_values > rows * most:
                raise DataError(
                    f"the column {name!r} has more than {most:,} characters or numbers a row.",
                    where=file.address,
                    remedy="Cut its documents into smaller ones, or raise `max_characters`.",
                )


def rows_of(batch: pa.RecordBatch) -> Iterator[dict[str, object]]:
    """Yield the rows of a batch; where its text is large, each when it is asked for."""
    size = sum(_bytes(column) for column in batch.columns)
    if size <= _LARGE:
        yield from batch.to_pylist()
        return
    for row in range(batch.num_rows):
        yield from batch.slice(row, 1).to_pylist()


def _bytes(column: pa.Array) -> int:
    """Return the bytes of a column, where each value counts as often as it is there."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return int(pc.sum(lengths, min_count=0).as_py() or 0)

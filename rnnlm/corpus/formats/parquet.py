"""Parquet: one document per row, read in small batches."""

from collections.abc import Iterator

import pyarrow.parquet as pq

from rnnlm.corpus.files import File
from rnnlm.corpus.formats.record import Record, find_columns, record_of
from rnnlm.settings import Corpus

_ROWS = 256


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the rows of a file."""
    with file.open_at_random() as binary:
        parquet = pq.ParquetFile(binary)
        names = find_columns(corpus, parquet.schema_arrow.names, file.address)
        rows = _rows(parquet, list(names.values()))
        for number, values in enumerate(rows, 1):
            yield record_of(corpus, values, names, file, f"row {number}")


def parquet_rows(file: File) -> Iterator[dict[str, object]]:
    """Read the rows of a file with all their columns."""
    with file.open_at_random() as binary:
        yield from _rows(pq.ParquetFile(binary))


def _rows(parquet: pq.ParquetFile, columns: list[str] | None = None) -> Iterator[dict[str, object]]:
    for batch in parquet.iter_batches(batch_size=_ROWS, columns=columns):
        yield from batch.to_pylist()

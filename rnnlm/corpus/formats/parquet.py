"""Parquet: one document a row, read in small batches."""

from collections.abc import Iterator

import pyarrow.parquet as pq

from rnnlm.config import Corpus
from rnnlm.corpus.files import File
from rnnlm.corpus.formats.record import Record, columns, record_of, require_columns

_ROWS = 256


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the rows of a file."""
    with file.open_at_random() as binary:
        parquet = pq.ParquetFile(binary)
        require_columns(corpus, parquet.schema_arrow.names, file.address)
        number = 0
        for batch in parquet.iter_batches(batch_size=_ROWS, columns=columns(corpus)):
            for values in batch.to_pylist():
                number += 1
                yield record_of(corpus, values, file, f"row {number}")

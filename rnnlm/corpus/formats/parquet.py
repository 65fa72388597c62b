"""Parquet: one document a row, read in small batches."""

from collections.abc import Iterator

import pyarrow.parquet as pq

from rnnlm.config import Corpus
from rnnlm.corpus.files import File
from rnnlm.corpus.formats.record import Record, find_columns, record_of

_ROWS = 256


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the rows of a file."""
    with file.open_at_random() as binary:
        parquet = pq.ParquetFile(binary)
        names = find_columns(corpus, parquet.schema_arrow.names, file.address)
        number = 0
        for batch in parquet.iter_batches(batch_size=_ROWS, columns=list(names.values())):
            for values in batch.to_pylist():
                number += 1
                yield record_of(corpus, values, names, file, f"row {number}")

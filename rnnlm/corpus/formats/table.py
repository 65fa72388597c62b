"""Tables as text: CSV with quoting (RFC 4180), TSV without."""

import csv
from collections.abc import Iterator

from rnnlm.config import Corpus
from rnnlm.corpus.files import File
from rnnlm.corpus.formats.lines import numbered_lines
from rnnlm.corpus.formats.record import Record, record_of, require_columns
from rnnlm.errors import DataError


def read_csv(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the rows of a CSV file; a quoted field may hold commas and line ends."""
    return _records(_csv_rows(file, corpus), file, corpus)


def read_tsv(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the rows of a TSV file; a quotation mark is a character like any other."""
    return _records(_tsv_rows(file, corpus), file, corpus)


def _csv_rows(file: File, corpus: Corpus) -> Iterator[tuple[int, list[str]]]:
    # The limit holds for the whole process: it is only ever raised, so that steps that run side by side do not clash.
    csv.field_size_limit(max(csv.field_size_limit(), corpus.max_characters + 1))
    reader = csv.reader((line for _, line in numbered_lines(file, corpus)), strict=True)
    start = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            remedy = "A quotation mark inside a quoted field is written twice; is one left open?"
            where = f"{file.address}, line {start} to {reader.line_num}"
            raise DataError(f"not CSV: {error}.", where=where, remedy=remedy) from error
        if row is None:
            return
        yield start, row
        start = reader.line_num + 1


def _tsv_rows(file: File, corpus: Corpus) -> Iterator[tuple[int, list[str]]]:
    for number, line in numbered_lines(file, corpus):
        line = line.removesuffix("\n").removesuffix("\r")
        yield number, line.split("\t") if line else []


def _records(rows: Iterator[tuple[int, list[str]]], file: File, corpus: Corpus) -> Iterator[Record]:
    header: list[str] = []
    for number, row in rows:
        if not row:
            continue
        place = f"line {number}"
        if not header:
            header = [name.strip() for name in row]
            require_columns(corpus, header, f"{file.address}, {place}")
        elif len(row) != len(header):
            raise DataError(
                f"a row of {len(row)} fields, where the header has {len(header)}.",
                where=f"{file.address}, {place}",
                remedy="Quote fields that hold commas or line ends, or use another format (tsv has no quoting).",
            )
        else:
            yield record_of(corpus, dict(zip(header, row, strict=True)), file, place)

"""Tables as text: CSV with quoting (RFC 4180), TSV without."""

import csv
import itertools
import logging
import re
from collections.abc import Collection, Iterator, Sequence

from rnnlm.corpus.files import File
from rnnlm.corpus.formats.lines import numbered_lines
from rnnlm.corpus.formats.record import Record, find_columns, record_of, same_columns
from rnnlm.errors import DataError
from rnnlm.settings import Corpus

logger = logging.getLogger("rnnlm.steps")

# Separators of fields, the usual one first.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "TABs", "|": "vertical bars"}
# The number of lines that are used to find the separator.
LINES = 50

_LONE_CR = re.compile(r"\r(?!\n)")
# The replacement of such a CR while a line is read.
_CR = "\x00\x01\x00"

# The line that spreadsheets write above a table to name its separator.
_SEP = re.compile(r'"?sep=([^"\w\s]|\t)"?\s*', re.IGNORECASE)


def read_csv(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the rows of a CSV file. A quoted field may contain separators and line ends."""
    return _records(csv_rows(file, corpus), file, corpus)


def read_tsv(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the rows of a TSV file. A quotation mark is an ordinary character."""
    return _records(tsv_rows(file, corpus), file, corpus)


def separator_of(lines: Sequence[str], wanted: Collection[str] = (), header: bool = True) -> str:
    """Return the separator of a CSV file.

    It is the comma, if the table then has the wanted columns; else the first of the others for which it does; else the
    one with the most columns, the same number in most rows.

    Args:
        lines: The file's first lines, with their ends.
        wanted: The names of the wanted columns, or their numbers if there is no header.
        header: Whether the first row names the columns.
    """
    if said := separator_said(lines):
        return said
    tables = {separator: _first_rows(lines, separator) for separator in SEPARATORS}
    for separator, rows in tables.items():
        if wanted and _fits(rows, wanted, header):
            return separator
    return max(tables, key=lambda separator: _shape(tables[separator]))


def separator_said(lines: Sequence[str]) -> str | None:
    """Return the separator that a first line such as `sep=;` names. None if there is no such line."""
    match = _SEP.fullmatch(lines[0]) if lines else None
    return match[1] if match else None


def _first_rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    rows = []
    try:
        for row in csv.reader(lines, delimiter=separator):
            rows.append(row)  # noqa: PERF402  (those before an error count)
    except csv.Error:
        pass
    return [row for row in rows if any(field.strip() for field in row)]


def _fits(rows: list[list[str]], wanted: Collection[str], header: bool) -> bool:
    if not rows:
        return False
    if header:
        return all(len(same_columns(name, rows[0])) == 1 for name in wanted)
    # The last row of many may have been cut.
    widths = {len(row) for row in (rows[:-1] if len(rows) >= LINES - 1 else rows)}
    return len(widths) == 1 and widths.pop() >= max(map(int, wanted))


def _shape(rows: list[list[str]]) -> tuple[float, int]:
    """Return how many rows have the width of the first, and this width. A single column comes last."""
    width = len(rows[0]) if rows else 0
    return (sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0, width)


def csv_rows(file: File, corpus: Corpus) -> Iterator[tuple[int, list[str]]]:
    """Read the rows of a CSV file, including the header, each with the number of its first line."""
    # The limit applies to the whole process. It is only ever raised, so that steps that run at the same time do not
    # conflict. A column that is not used may contain more than a document, for example a whole page.
    csv.field_size_limit(max(csv.field_size_limit(), 8 * corpus.max_characters))
    lines = (_hidden(line) for _, line in numbered_lines(file, corpus, quoted=True))
    first = list(itertools.islice(lines, LINES))
    separator = separator_of(first, corpus.columns, corpus.header)
    if separator != ",":
        logger.info("%s: fields are separated by %s.", file.address, SEPARATORS.get(separator, repr(separator)))
    start = 1 + bool(separator_said(first))
    above = start - 1
    reader = csv.reader(itertools.chain(first[above:], lines), delimiter=separator, strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            remedy = "A quotation mark inside a quoted field must be written twice. Is a quotation mark missing?"
            if separator == "\t":
                remedy += " If quotation marks are ordinary characters, set `format: tsv`."
            where = f"{file.address}, line {start} to {above + reader.line_num}"
            raise DataError(f"not CSV: {error}.", where=where, remedy=remedy) from error
        if row is None:
            return
        yield start, [field.replace(_CR, "\r") for field in row]
        start = above + reader.line_num + 1


def _hidden(line: str) -> str:
    """Hide a CR inside a line from Python's reader, which takes it for a line end. Its writer does not quote it."""
    return _LONE_CR.sub(_CR, line) if "\r" in line[:-2] else line


def tsv_rows(file: File, corpus: Corpus) -> Iterator[tuple[int, list[str]]]:
    """Read the rows of a TSV file, including the header, each with the number of its line."""
    for number, line in numbered_lines(file, corpus):
        if number == 1 and separator_said([line]):
            continue
        line = line.removesuffix("\n").removesuffix("\r")
        yield number, line.split("\t") if line else []


def _remedy(first: list[str], corpus: Corpus) -> str:
    """Return what else may be wrong if a table does not have the wanted columns."""
    remedies = []
    if len(first) == 1 and len(_first_rows(first, separator := separator_of(first))[0]) > 1:
        name = "tsv" if separator == "\t" else "csv"
        remedies.append(f"The fields seem to be separated by {SEPARATORS[separator]}: that is `format: {name}`.")
    if corpus.header:
        remedies.append("If the first row is data, set `header: false`, and give columns by number (from 1).")
    return " ".join(remedies)


def _records(rows: Iterator[tuple[int, list[str]]], file: File, corpus: Corpus) -> Iterator[Record]:
    header: list[str] = []
    found: dict[str, str] = {}
    for number, row in rows:
        if not row:
            continue
        place = f"line {number}"
        if len(row) > 1 and not any(field.strip() for field in row):
            yield Record("", place, nothing="blank")
            continue
        if not header:
            header = row if corpus.header else [str(column) for column in range(1, len(row) + 1)]
            found = find_columns(corpus, header, f"{file.address}, {place}", _remedy(row, corpus))
            if corpus.header:
                continue
        if len(row) != len(header):
            first = "header" if corpus.header else "first row"
            raise DataError(
                f"a row of {len(row)} fields, where the {first} has {len(header)}.",
                where=f"{file.address}, {place}",
                remedy="Quote fields that contain separators or line ends, or use another format (tsv has no quoting).",
            )
        else:
            yield record_of(corpus, dict(zip(header, row, strict=True)), found, file, place)

"""Guesses what a file is from its first bytes."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass

from rnnlm.corpus.encoding import foreign, likely
from rnnlm.corpus.files import File, trouble
from rnnlm.corpus.formats import format_of
from rnnlm.corpus.formats.parquet import check_sizes, opened, rows_of
from rnnlm.corpus.formats.table import LINES, separator_of, separator_said
from rnnlm.errors import DataError
from rnnlm.settings import Corpus

# The number of bytes that are examined.
_HEAD = 1 << 20


@dataclass(frozen=True)
class Head:
    """What the first bytes of a file show.

    Attributes:
        format: The format that the ending names (`csv`). None if the ending is unknown.
        encoding: The likely encoding, as a value of `encoding` of a corpus. `auto` if no name is needed.
        separator: The separator of a table of text (a comma, a TAB). None for other formats.
        header: Whether the first row of a table of text seems to name its columns.
        columns: The names of the columns, or their numbers from 1 if there is no header. Empty for plain text.
        rows: The first rows by column. For plain text, its lines in the column `text`.
        whole: Whether these are all rows of the file.
    """

    format: str | None
    encoding: str
    separator: str | None
    header: bool
    columns: list[str]
    rows: list[dict[str, object]]
    whole: bool


def head_of(file: File, rows: int = 1_000, format_name: str | None = None) -> Head:
    """Read the head of a file.

    Args:
        file: The file.
        rows: The largest number of rows. No more than a megabyte of text is read.
        format_name: The file's format. If None, the ending decides.

    Raises:
        DataError: If the file is missing, damaged, or not text.
        StoreError: If it cannot be reached.
    """
    name = format_name or format_of(file, Corpus(files=[file.address]))
    if name == "parquet":
        return _parquet(file, rows)
    content = file.head(_HEAD)
    if no_text := foreign(content):
        what, remedy = no_text
        raise DataError(f"this is {what}, but text is expected.", where=file.address, remedy=remedy)
    encoding = encoding_of(content)
    if encoding is None:
        raise DataError("this is no text in an encoding that is known.", where=file.address)
    text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding, "ignore").removeprefix("\ufeff")
    lines = _lines(text)
    whole = len(content) < _HEAD
    if not whole:
        lines = lines[:-1]
    whole = whole and len(lines) <= rows
    named = encoding if encoding not in ("utf-8", "utf-16", "utf-32") else "auto"
    if name == "jsonl":
        values = [value for line in lines[:rows] if line.strip() and isinstance(value := _json(line), dict)]
        columns = list(dict.fromkeys(key for value in values for key in value))
        return Head(name, named, None, False, columns, values, whole)
    if name in ("csv", "tsv"):
        separator = separator_of(lines[:LINES]) if name == "csv" else "\t"
        table = _table(lines, separator, quoted=name == "csv")[: rows + 1]
        header = seems_header(table)
        columns = table[0] if header else [str(number) for number in range(1, len(table[0]) + 1)] if table else []
        found: list[dict[str, object]] = [dict(zip(columns, row, strict=False)) for row in table[header:]]
        return Head(name, named, separator, header, columns, found[:rows], whole)
    return Head(name, named, None, False, [], [{"text": line.rstrip("\n")} for line in lines[:rows]], whole)


def encoding_of(content: bytes) -> str | None:
    """Return the most likely encoding of a file's first bytes (`utf-8` for ASCII too). None if they are not text."""
    return next(iter(likely(content)), None)


def seems_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of a table seems to name its columns: short names, each once, that are not numbers."""
    if not rows:
        return False
    names = [name.strip() for name in rows[0] if name.strip()]
    short = all(len(name) <= 60 and not _is_number(name) for name in names)
    # If a column has the same text in several rows, it is a value and not the column's name.
    values = [{row[column].strip() for row in rows[1:50] if column < len(row)} for column in range(len(rows[0]))]
    repeated = any(name.strip() in seen for name, seen in zip(rows[0], values, strict=True) if name.strip())
    return bool(names) and short and len(set(names)) == len(names) and not repeated


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(text: str) -> list[str]:
    """Split text at its line ends, and nowhere else (`splitlines` splits at many other characters)."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _json(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _table(lines: Sequence[str], separator: str, quoted: bool) -> list[list[str]]:
    lines = lines[bool(separator_said(lines)) :]
    if not quoted:
        rows = [line.rstrip("\n").split(separator) for line in lines]
    else:
        csv.field_size_limit(max(csv.field_size_limit(), _HEAD))
        rows = list(csv.reader(lines, delimiter=separator))
    return [row for row in rows if any(field.strip() for field in row)]


def _parquet(file: File, rows: int) -> Head:
    with trouble(file.address), file.open_at_random() as binary:
        parquet = opened(binary)
        check_sizes(parquet, file, Corpus(files=[file.address]).max_characters)
        batch = next(parquet.iter_batches(batch_size=rows), None)
        found, characters = list[dict[str, object]](), 0
        for row in rows_of(batch) if batch is not None else ():
            found.append(row)
            characters += sum(len(value) for value in row.values() if isinstance(value, str | list))
            if characters > _HEAD:
                break
        names = parquet.schema_arrow.names
        return Head("parquet", "auto", None, False, names, found, parquet.metadata.num_rows == len(found))

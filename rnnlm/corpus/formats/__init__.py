"""The formats of text files: one module and one line here for each."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from rnnlm.corpus.encoding import foreign
from rnnlm.corpus.files import COMPRESSIONS, EmptyFileError, File
from rnnlm.corpus.formats import aclimdb, conll, jsonl, parquet, table, text
from rnnlm.corpus.formats.record import Record
from rnnlm.errors import ConfigError, DataError
from rnnlm.settings import Corpus


class Format(NamedTuple):
    """How files of a format are read, and which files of a folder have it."""

    read: Callable[[File, Corpus], Iterator[Record]]
    endings: tuple[str, ...]
    belongs: Callable[[str], object] = bool


FORMATS = {
    "text": Format(text.read, (".txt", ".text", ".tokens")),
    "csv": Format(table.read_csv, (".csv",)),
    "tsv": Format(table.read_tsv, (".tsv",)),
    "jsonl": Format(jsonl.read, (".jsonl", ".ndjson")),
    "parquet": Format(parquet.read, (".parquet",)),
    "conll": Format(conll.read, (".conll", ".iob", ".iob2", ".bio")),
    "aclimdb": Format(aclimdb.read, (".txt",), aclimdb.belongs),
}
_BY_ENDING = {ending: name for name, each in FORMATS.items() if name != "aclimdb" for ending in each.endings}


def belongs(path: str, format_name: str) -> bool:
    """Return whether to read a file of a folder, by its path in the folder."""
    plain = path.lower()
    for compression in COMPRESSIONS:
        plain = plain.removesuffix(compression)
    if format_name == "auto":
        return plain.endswith(tuple(_BY_ENDING))
    return plain.endswith(FORMATS[format_name].endings) and bool(FORMATS[format_name].belongs(path))


def format_of(file: File, corpus: Corpus) -> str | None:
    """Return the name of a file's format: that of the corpus, or by its ending. None if the ending is unknown."""
    return corpus.format if corpus.format != "auto" else _BY_ENDING.get(file.ending)


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the documents of a file, one at a time. An empty file is a document without text.

    Raises:
        ConfigError: If the file's ending is unknown, or the format has no columns by number.
        DataError: If the file, a row or a document cannot be used. The error says where.
        StoreError: If the file cannot be reached.
    """
    name = format_of(file, corpus)
    if name is None:
        if no_text := foreign(file.head()):
            what, remedy = no_text
            raise DataError(f"this is {what}, but text is expected.", where=file.address, remedy=remedy)
        remedy = f"Set the corpus's `format`; auto knows {', '.join(_BY_ENDING)}."
        raise ConfigError(f"the ending {file.ending!r} tells no format.", where=file.address, remedy=remedy)
    if not corpus.header and name not in ("csv", "tsv"):
        remedy = "Leave `header` out."
        raise ConfigError(f"`header: false` is for CSV and TSV, but this is {name}.", where=file.address, remedy=remedy)
    try:
        yield from FORMATS[name].read(file, corpus)
    except EmptyFileError:
        yield Record("", nothing="missing")

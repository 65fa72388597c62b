"""The formats of text files: one module and one line here for each."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from rnnlm.config import Corpus
from rnnlm.corpus.files import COMPRESSIONS, File
from rnnlm.corpus.formats import aclimdb, jsonl, parquet, table, text
from rnnlm.corpus.formats.record import Record
from rnnlm.errors import ConfigError


class Format(NamedTuple):
    """How files of a format are read, and which files of a folder are of it."""

    read: Callable[[File, Corpus], Iterator[Record]]
    endings: tuple[str, ...]
    belongs: Callable[[str], object] = bool


FORMATS = {
    "text": Format(text.read, (".txt", ".text", ".tokens")),
    "csv": Format(table.read_csv, (".csv",)),
    "tsv": Format(table.read_tsv, (".tsv",)),
    "jsonl": Format(jsonl.read, (".jsonl", ".ndjson")),
    "parquet": Format(parquet.read, (".parquet",)),
    "aclimdb": Format(aclimdb.read, (".txt",), aclimdb.belongs),
}
_BY_ENDING = {ending: name for name, each in FORMATS.items() if name != "aclimdb" for ending in each.endings}


def belongs(path: str, format_name: str) -> bool:
    """Tell whether a file of a folder is to be read, by its path in the folder."""
    plain = path.lower()
    for compression in COMPRESSIONS:
        plain = plain.removesuffix(compression)
    if format_name == "auto":
        return plain.endswith(tuple(_BY_ENDING))
    return plain.endswith(FORMATS[format_name].endings) and bool(FORMATS[format_name].belongs(path))


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the documents of a file, one at a time.

    Raises:
        ConfigError: If the file's ending tells no format.
        DataError: If the file, a row or a document cannot be used; it says where.
        StoreError: If the file cannot be reached.
    """
    name = corpus.format if corpus.format != "auto" else _BY_ENDING.get(file.ending)
    if name is None:
        remedy = f"Give the corpus's `format`; auto knows {', '.join(_BY_ENDING)}."
        raise ConfigError(f"the ending {file.ending!r} tells no format.", where=file.address, remedy=remedy)
    return FORMATS[name].read(file, corpus)

"""Texts for the commands that use a model: from a file in any format of a corpus, or lines of a stream."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from rnnlm.corpus.files import EmptyFileError, File
from rnnlm.corpus.formats import format_of, read
from rnnlm.corpus.formats.lines import CHUNK, decoded, numbered_lines
from rnnlm.errors import ConfigError
from rnnlm.settings import Corpus


def local_file(path: Path) -> File:
    """Return a local file as a file of a corpus."""
    return File(path.name, str(path), str(path.absolute()), LocalFileSystem())


def texts_of(
    path: Path, column: str = "text", encoding: str = "auto", *, in_words: bool = False
) -> Iterator[str | tuple[str, ...]]:
    """Return the texts of a file: the column of a table, or the lines of any other file.

    Args:
        path: The file. Its endings say what it is and how it is compressed (`.csv.gz`).
        column: Column of the text, in tables.
        encoding: The encoding's name. auto: UTF-8, or what a byte order mark says.
        in_words: Whether texts that the file cuts into words are tuples of these.

    Raises:
        ConfigError: If there is no such encoding.
        DataError: If the file cannot be read. The error says where.
    """
    file, corpus = local_file(path), _corpus(str(path), encoding, column)
    if format_of(file, corpus) in (None, "text"):
        yield from lines_of(path, encoding)
    else:
        records = (record for record in read(file, corpus) if record.nothing != "blank")
        yield from (record.words if in_words and record.words else record.text for record in records)


def lines_of(path: Path, encoding: str = "auto") -> Iterator[str]:
    """Return the lines of a text file, without their ends. Arguments and errors are those of `texts_of`."""
    try:
        for _, line in numbered_lines(local_file(path), _corpus(str(path), encoding)):
            yield _without_end(line)
    except EmptyFileError:
        return


def lines_from(stream: IO[bytes], name: str, encoding: str = "auto") -> Iterator[str]:
    """Return the lines of a stream, each as soon as it arrives.

    Args:
        stream: The stream.
        name: Its name for errors.
        encoding: The encoding's name, as in `texts_of`.

    Raises:
        ConfigError: If there is no such encoding.
        DataError: If it is not text in this encoding.
    """
    chunks = iter(lambda: stream.read1(CHUNK), b"")  # type: ignore[attr-defined]
    settings = _corpus(name, encoding)
    yield from (_without_end(line) for _, line in decoded(chunks, settings.encoding, name, settings.max_characters))


def _corpus(name: str, encoding: str, column: str = "text") -> Corpus:
    try:
        return Corpus(files=[name], encoding=encoding, text=column)
    except ValidationError as error:
        problems = "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors())
        raise ConfigError(f"{problems} (given: {encoding!r}, {column!r}).", where=name) from error


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")

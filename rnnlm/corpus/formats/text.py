"""Plain text: a document is the file, a line or a paragraph."""

from collections.abc import Iterator

from rnnlm.corpus.files import File
from rnnlm.corpus.formats.lines import numbered_lines
from rnnlm.corpus.formats.record import Record, refuse_columns, too_long
from rnnlm.settings import Corpus


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the documents of a text file."""
    refuse_columns(corpus, file)
    if corpus.document == "line":
        for number, line in numbered_lines(file, corpus):
            yield Record(line, f"line {number}")
    elif corpus.document == "paragraph":
        yield from _paragraphs(file, corpus)
    else:
        yield Record(whole(file, corpus))


def whole(file: File, corpus: Corpus) -> str:
    """Read a file that is one document.

    Raises:
        DataError: If it is longer than a document may be. No more than that is ever read.
    """
    lines: list[str] = []
    characters = 0
    for _, line in numbered_lines(file, corpus):
        lines.append(line)
        characters += len(line)
        if characters > corpus.max_characters:
            raise too_long(corpus.max_characters, file.address)
    return "".join(lines)


def _paragraphs(file: File, corpus: Corpus) -> Iterator[Record]:
    lines: list[str] = []
    characters, first = 0, 1
    for number, line in numbered_lines(file, corpus):
        if line.strip():
            if not lines:
                characters, first = 0, number
            lines.append(line)
            characters += len(line)
            if characters > corpus.max_characters:
                raise too_long(corpus.max_characters, f"{file.address}, line {first}")
        elif lines:
            yield Record("".join(lines), f"line {first}")
            lines = []
    if lines:
        yield Record("".join(lines), f"line {first}")

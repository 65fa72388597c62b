"""CoNLL columns: a word a line with its tags, parted by TABs or spaces; an empty line ends a sentence."""

import re
from collections.abc import Iterator

from rnnlm.corpus.files import File
from rnnlm.corpus.formats.lines import numbered_lines
from rnnlm.corpus.formats.record import Record
from rnnlm.corpus.words import joined
from rnnlm.errors import ConfigError, DataError
from rnnlm.settings import Corpus

_DOCUMENT = "-DOCSTART-"  # begins a document of CoNLL 2003
_LAST = -1
# What CoNLL-U and its relatives write before a sentence: `# text = Ada sings`.
_COMMENT = re.compile(r"#\s?\w+(?:[ _]\w+)* = ")


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the sentences of a file.

    The sentences of one document, where lines say `-DOCSTART-`, are a group: they stay in one split.

    Raises:
        ConfigError: If a column has no number.
        DataError: If a line has fewer columns than are read.
    """
    word_column = 0 if corpus.text == Corpus.model_fields["text"].default else _column(corpus, "text", file)
    tag_column = _column(corpus, "label", file) if corpus.label else None
    for field in ("vector", "group", "split"):
        if getattr(corpus, field):
            raise ConfigError(f"CoNLL columns have no {field}.", where=file.address, remedy=f"Leave `{field}` out.")
    least = 1 + max(word_column, tag_column or 0, 0 if tag_column is None else 1)
    words: list[str] = []
    tags: list[str] = []
    first = document = 0

    def sentence() -> Record:
        group = f"{file.name}, document {document}" if document else None
        given = tuple(tags) if tag_column is not None else None
        return Record(joined(words), f"line {first}", group=group, words=tuple(words), tags=given)

    for number, line in numbered_lines(file, corpus):
        # Not at the spaces of Unicode, which may be inside a word.
        plain = line.rstrip(" \t\r\n")
        columns = plain.split("\t") if "\t" in plain else [column for column in plain.split(" ") if column]
        if not words and _COMMENT.match(line):
            continue
        if not "".join(columns).strip() or columns[0] == _DOCUMENT:
            if words:
                yield sentence()
                words, tags = [], []
            document += bool(columns) and columns[0] == _DOCUMENT
            continue
        if len(columns) < least:
            raise DataError(
                f"there {'is' if len(columns) == 1 else 'are'} {len(columns)} of the {least} columns that are read",
                where=f"{file.address}, line {number}",
                remedy="Write a word with its tags on each line, with TABs or spaces between them, and an empty line "
                "after each sentence.",
            )
        if not columns[word_column]:
            raise DataError(
                "the word is empty", where=f"{file.address}, line {number}", remedy="Write a word, or U+FFFD."
            )
        if not words:
            first = number
        words.append(columns[word_column])
        if tag_column is not None:
            tags.append(columns[tag_column])
    if words:
        yield sentence()


def _column(corpus: Corpus, field: str, file: File) -> int:
    """Return the place of a column from 0, or -1: the last."""
    given = getattr(corpus, field)
    number = int(given) if isinstance(given, str) and given.removeprefix("-").isdecimal() else 0
    if number == _LAST and field == "label":
        return _LAST
    if number < 1:
        raise ConfigError(
            f"columns of CoNLL files have numbers from 1, and `{field}` is {given!r}.",
            where=file.address,
            remedy="Name the column of the tags by its number, or as -1: the last."
            if field == "label"
            else "Name the column of the words by its number, or leave `text` out: the first.",
        )
    return number - 1

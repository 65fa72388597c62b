"""A document as it stands in a file, before cleaning."""

from typing import NamedTuple

from rnnlm.config import Corpus
from rnnlm.corpus.files import File
from rnnlm.errors import ConfigError, DataError


class Record(NamedTuple):
    """One document.

    Attributes:
        text: Its text.
        place: Where it stands in the file (`line 3`); empty if it is the file.
        label: Its label, as it stands there.
        group: Its group.
        split: The split that the file says it is in.
        unlabelled: It has no label by design: it is text for the language model alone.
    """

    text: str
    place: str = ""
    label: str | None = None
    group: str | None = None
    split: str | None = None
    unlabelled: bool = False


def columns(corpus: Corpus) -> list[str]:
    """Give the columns of a table that the corpus needs, each once."""
    return list(dict.fromkeys(name for name in (corpus.text, corpus.label, corpus.group, corpus.split) if name))


def require_columns(corpus: Corpus, there: list[str], where: str) -> None:
    """Check that a table has the columns that the corpus needs.

    Raises:
        DataError: If one is missing, or stands there twice.
    """
    for name in columns(corpus):
        if there.count(name) != 1:
            field = next(field for field in ("text", "label", "group", "split") if getattr(corpus, field) == name)
            problem = f"no column {name!r}" if name not in there else f"the column {name!r} stands there twice"
            remedy = f"Give the name in the corpus's field `{field}`."
            raise DataError(f"{problem}; there are: {', '.join(there[:50])}.", where=where, remedy=remedy)


def refuse_columns(corpus: Corpus, file: File) -> None:
    """Check that no column is asked of a plain text file.

    Raises:
        ConfigError: If one is.
    """
    for field in ("label", "group", "split"):
        if getattr(corpus, field):
            remedy = "Use `label_pattern` for a label in the address." if field == "label" else f"Leave {field} out."
            raise ConfigError(f"plain text has no columns, but `{field}` is given.", where=file.address, remedy=remedy)


def record_of(corpus: Corpus, values: dict[str, object], file: File, place: str) -> Record:
    """Make a record of a row's values (JSON or Arrow values).

    Raises:
        DataError: If the text is no string, or a label, group or split is neither a string nor a whole number.
    """
    where = f"{file.address}, {place}"
    text = values.get(corpus.text)
    if not isinstance(text, str):
        known = f"there are: {', '.join(list(values)[:50])}" if corpus.text not in values else f"it is {text!r:.50}"
        raise DataError(f"the text ({corpus.text!r}) is no string; {known}.", where=where)
    label, group, split = (
        None if name is None else _name(values.get(name), name, where)
        for name in (corpus.label, corpus.group, corpus.split)
    )
    return Record(text, place, label, group, split)


def _name(value: object, column: str, where: str) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float() if value.is_integer():
            # A column of whole numbers with gaps comes as floats from many a writer.
            return str(int(value))
    raise DataError(f"{column!r} is neither a string nor a whole number: {value!r:.50}.", where=where)


def too_long(corpus: Corpus, where: str) -> DataError:
    """Make the error for a document that is too long."""
    return DataError(
        f"the document is longer than {corpus.max_characters:,} characters.",
        where=where,
        remedy="Read it by line or paragraph (`document`), cut it, or raise the corpus's `max_characters`.",
    )

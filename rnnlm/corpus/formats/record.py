"""A document as it is in a file, before cleaning."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from rnnlm.corpus.clean import plain_name
from rnnlm.corpus.files import File
from rnnlm.corpus.words import joined
from rnnlm.errors import ConfigError, DataError
from rnnlm.settings import Corpus

# How many column names of a table an error shows.
_NAMES, _NAME = 20, 40


class Record(NamedTuple):
    """One document.

    Attributes:
        text: Its text.
        place: Its place in the file (`line 3`). Empty if it is the file.
        label: Its label, as the file has it.
        group: Its group.
        split: The split that the file names.
        unlabelled: Whether it has no label by design, so that it is text for the language model alone.
        nothing: Why there is no text. `missing`: a null or an empty file. `blank`: a row whose fields are all empty.
        words: Its words, where the file cuts the text into words.
        tags: The tags of its words, where its label is a list.
        vector: Its vector, as another model has made it.
    """

    text: str
    place: str = ""
    label: str | None = None
    group: str | None = None
    split: str | None = None
    unlabelled: bool = False
    nothing: Literal["", "missing", "blank"] = ""
    words: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    vector: np.ndarray | None = None


def find_columns(corpus: Corpus, there: Sequence[str], where: str, remedy: str = "") -> dict[str, str]:
    """Return the columns of a table that the corpus names, by these names.

    Raises:
        DataError: If one is missing or occurs twice.
    """
    found = {name: same_columns(name, there) for name in corpus.columns}
    for name, same in found.items():
        if len(same) != 1:
            raise no_column(corpus, name, there, where, remedy)
    return {name: column for name, (column,) in found.items()}


def same_columns(name: str, there: Collection[str]) -> list[str]:
    """Return the columns of a name: an exact match, else those that differ only in outer spaces or Unicode form."""
    if exact := [column for column in there if column == name]:
        return exact
    return [column for column in there if plain_name(column) == plain_name(name)]


def no_column(corpus: Corpus, name: str, there: Sequence[str], where: str, remedy: str = "") -> DataError:
    """Return the error for a column that is missing or occurs more than once."""
    field = next(field for field in ("text", "label", "vector", "group", "split") if name in _names(corpus, field))
    times = len(same_columns(name, there))
    problem = (
        f"the column {name!r} is there {'twice' if times == 2 else f'{times} times'}"
        if times
        else f"no column {name!r}"
    )
    remedy = " ".join(filter(None, [f"Give the name in the corpus's field `{field}`.", remedy]))
    return DataError(f"{problem}; there are: {shown(there)}.", where=where, remedy=remedy)


def _names(corpus: Corpus, field: str) -> list[str]:
    names = getattr(corpus, field)
    return names if isinstance(names, list) else [names]


def shown(names: Sequence[str]) -> str:
    """Return names as an error shows them: only the first of many, and only the beginning of a long one."""
    some = [name if len(name) <= _NAME else f"{name[:_NAME]}…" for name in names[:_NAMES]]
    return ", ".join(some) + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")


def refuse_columns(corpus: Corpus, file: File) -> None:
    """Check that no column is named for a plain text file.

    Raises:
        ConfigError: If one is.
    """
    for field in ("label", "vector", "group", "split"):
        if getattr(corpus, field):
            remedy = "Use `label_pattern` for a label in the address." if field == "label" else f"Leave {field} out."
            raise ConfigError(f"plain text has no columns, but `{field}` is given.", where=file.address, remedy=remedy)


def record_of(corpus: Corpus, values: Mapping[str, object], found: Mapping[str, str], file: File, place: str) -> Record:
    """Make a record of a row's values (JSON or Arrow values).

    Args:
        corpus: The corpus, which names the columns.
        values: The row's values by column.
        found: The columns of the table by their names in the corpus.
        file: The file, for errors.
        place: The row's place in it.

    Raises:
        DataError: If a text is neither a string nor a list of words, or a label, group or split is neither a string
            nor a whole number, nor the label a list of tags; or if a vector is no list of numbers.
    """
    where = f"{file.address}, {place}"
    texts = []
    words = tags = None
    for name in corpus.texts:
        text = values.get(found.get(name, name))
        if isinstance(text, list) and len(corpus.texts) == 1:
            words = _list(text, name, where)
            text = joined(words)
        if text is not None and not isinstance(text, str):
            raise DataError(f"the text ({name!r}) is no string; it is {text!r:.50}.", where=where)
        texts.append(text)
    label, group, split = (
        None if name is None else values.get(found.get(name, name))
        for name in (corpus.label, corpus.group, corpus.split)
    )
    if isinstance(label, list) and corpus.label:
        tags, label = _list(label, corpus.label, where), None
    given = [text for text in texts if text is not None]
    # A single column is taken as it is. Joined columns leave out those without text.
    text = given[0] if given and len(texts) == 1 else "\n".join(text for text in given if text.strip())
    return Record(
        text,
        place,
        _name(label, corpus.label, where),
        _name(group, corpus.group, where),
        _name(split, corpus.split, where),
        nothing="" if given else "missing",
        words=words,
        tags=tags,
        vector=_vector(values.get(found.get(corpus.vector, corpus.vector)), corpus.vector, where)
        if corpus.vector
        else None,
    )


def _vector(value: object, column: str, where: str) -> np.ndarray | None:
    """Return a list of numbers as float32; None if there is none."""
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(_is_number(one) for one in value):
        raise DataError(
            f"the vector ({column!r}) is no list of finite numbers; it is {value!r:.50}.",
            where=where,
            remedy="Write a list of numbers for each document, as Parquet and JSON lines can hold it.",
        )
    return np.asarray(value, np.float32)


def _is_number(value: object) -> bool:
    # The largest number of float32, which vectors are kept in.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 3.4e38


def _list(values: list[object], column: str, where: str) -> tuple[str, ...]:
    """Return a list of words or tags."""
    for number, value in enumerate(values, 1):
        if not isinstance(value, str):
            raise DataError(
                f"item {number} of the list in {column!r} is no string; it is {value!r:.50}.",
                where=where,
                remedy="Write words and tags as strings. (Numbers of classes must be replaced by their names.)",
            )
    return tuple(map(str, values))


def _name(value: object, column: str | None, where: str) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float() if value.is_integer():
            # Many writers store a column of whole numbers with gaps as floats.
            return str(int(value))
    raise DataError(f"{column!r} is neither a string nor a whole number: {value!r:.50}.", where=where)


def too_long(max_characters: int, where: str) -> DataError:
    """Return the error for a document that is too long."""
    return DataError(
        f"the document is longer than {max_characters:,} characters.",
        where=where,
        remedy="Read it by line or paragraph (`document`), cut it, or raise the corpus's `max_characters`.",
    )

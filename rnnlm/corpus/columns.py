"""Guesses what the columns of a table are, from their names and values."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from rnnlm.corpus.clean import plain_name

Kind = Literal["text", "label", "split", "group", "id", "number", "nested", "empty", "other"]

# Names of columns, the plainest first.
_TEXTS = ("text", "review", "sentence", "content", "body", "comment", "tweet", "message", "document", "article")
_LABELS = ("label", "labels", "class", "category", "target", "sentiment", "polarity", "stars", "rating", "y", "topic")
_SPLITS = ("split", "set", "subset", "partition", "fold")
_GROUPS = ("group", "doc_id", "document_id", "author", "author_id", "user", "user_id", "movie_name", "product_id")
_SPLIT_VALUES = frozenset({"train", "training", "valid", "validation", "val", "dev", "test"})

# Values of a label column that mean that there is no label.
_NO_LABEL = ("-1", "unsup", "unlabelled", "unlabeled", "null", "nan", "n/a", "?")

# Properties of a column of classes, if its name does not say so: few, frequent and short values.
_CLASSES, _OFTEN, _SHORT = 20, 5, 40
# The number of different values that are counted separately.
_COUNTED = 1_000
# Share of different values above which nearly every value is different.
_UNIQUE = 0.95
# A value with more characters is a long text.
_LONG = 60


class Column:
    """What is known about one column from its values so far.

    Attributes:
        name: Its name, or its number from 1.
        rows: Rows that were seen.
        empty: Those without a value.
        values: How often each value occurs, for the first thousand different values.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = self.empty = 0
        self.values: Counter[str] = Counter()
        self._seen: set[int] = set()
        self._alone: list[set[str]] = []
        self._characters = self._words = self._numbers = self._ascii = self._nested = self._fractions = self._html = 0
        self._word_lists = 0

    def begin_file(self) -> None:
        """Begin a new file: the next values come from it."""
        self._alone.append(set())

    def add(self, value: object) -> None:
        """Add one more value of CSV, JSON or Parquet."""
        self.rows += 1
        if isinstance(value, (list, dict, bytes)):
            self._nested += 1
            self._word_lists += isinstance(value, list) and all(isinstance(item, str) for item in value)
            return
        if isinstance(value, float):
            self._fractions += not value.is_integer()
            value = int(value) if value.is_integer() else value
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        if not text.strip():
            self.empty += 1
            return
        self._seen.add(hash(text))
        if text in self.values or len(self.values) < _COUNTED:
            self.values[text] += 1
        if self._alone and len(self._alone[-1]) < 2:
            self._alone[-1].add(text)
        self._characters += len(text)
        self._words += text.count(" ") + 1
        self._ascii += text.isascii()
        self._numbers += len(text) <= _SHORT and number_of(text) is not None
        self._html += "<br" in text or "<p>" in text

    @property
    def filled(self) -> int:
        """The number of rows with a value."""
        return self.rows - self.empty

    @property
    def distinct(self) -> int:
        """The number of different values."""
        return len(self._seen)

    @property
    def length(self) -> float:
        """The mean number of characters of a value."""
        return self._characters / max(1, self.filled)

    def fills_a_file(self, value: str) -> bool:
        """Whether one of several files has no other value."""
        return {value} in self._alone

    @property
    def has_breaks(self) -> bool:
        """Whether at least one value in a hundred has HTML line breaks."""
        return self._html >= max(1, self.filled / 100)

    @property
    def holds_words(self) -> bool:
        """Whether every value is a list of strings."""
        return 0 < self._word_lists == self.filled

    @property
    def nearly_unique(self) -> bool:
        """Whether nearly every value is different."""
        return self.distinct >= _UNIQUE * self.filled and self.filled > 1

    @property
    def kind(self) -> Kind:
        """What the column seems to be."""
        words = self._words / max(1, self.filled)
        name = _bare(self.name)
        short = self.length <= _SHORT
        if not self.filled:
            return "nested" if self._nested else "empty"
        if self._nested:
            return "nested"
        if {value.strip().lower() for value in self.values} <= _SPLIT_VALUES and (name in _SPLITS or self.distinct > 1):
            return "split"
        if name in _LABELS and short and not self._fractions and self.distinct <= max(_CLASSES, self.filled / 3):
            return "label"
        if self.nearly_unique and self._ascii >= 0.9 * self.filled and short and words < 1.5:
            return "number" if self._fractions or self._with_point() else "id"
        often = 2 <= self.distinct <= _CLASSES and self.filled >= _OFTEN * self.distinct
        if often and short and not self._fractions and words < 4:
            return "label"
        if self._numbers == self.filled:
            return "number"
        if 1 < self.distinct < self.filled / 2 and self.length < _LONG:
            return "group"
        return "text" if words >= 2 or self.length >= 20 or self._ascii < 0.5 * self.filled else "other"

    def _with_point(self) -> bool:
        return self._numbers == self.filled and any("." in value for value in self.values)


def number_of(text: str) -> float | None:
    """Return the number that a text represents. None if it is not a number."""
    try:
        return float(text)
    except ValueError:
        return None


def text_column(columns: Sequence[Column]) -> Column | None:
    """Return the column of the text: one with a plain name, else the longest text. None if there is no such column."""
    texts = [column for column in columns if column.kind == "text"]
    named = _named(texts, _TEXTS) or _named([column for column in columns if column.kind in ("other", "id")], _TEXTS)
    return named or max(texts, key=lambda column: column.length, default=None)


def label_columns(columns: Sequence[Column]) -> list[Column]:
    """Return the possible columns of the label: the one with a plain name, else all with few values."""
    labels = [column for column in columns if column.kind == "label" and column.distinct > 1]
    named = _named(labels, _LABELS)
    return [named] if named else labels


def split_column(columns: Sequence[Column]) -> Column | None:
    """Return the column that names the split of a document. None if there is none."""
    splits = [column for column in columns if column.kind == "split"]
    return _named(splits, _SPLITS) or (splits[0] if len(splits) == 1 else None)


def group_column(columns: Sequence[Column]) -> Column | None:
    """Return the column of the group, by its name. None if there is none."""
    return _named([column for column in columns if column.kind == "group"], _GROUPS)


def no_label_value(column: Column) -> str | None:
    """Return the value of a label column that means "no label". None if every row has a label.

    Among numbers, -1 may be a class (negative, neutral, positive), unless a whole file has nothing else.
    """
    if column.empty:
        return ""
    values = {plain_name(value) for value in column.values}
    found = next((value for value in values if value.lower() in _NO_LABEL), None) if len(values) > 2 else None
    if found == "-1" and all(number_of(value) is not None for value in values) and not column.fills_a_file(found):
        return None
    return found


def _named(columns: Sequence[Column], names: Sequence[str]) -> Column | None:
    by_name = {_bare(column.name): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def _bare(name: str) -> str:
    return plain_name(name).lower().replace(" ", "_").replace("-", "_")

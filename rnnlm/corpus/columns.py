"""What the columns of a table seem to be, by their names and values, before anybody has said so."""

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

# What a column of classes has, if its name does not say so: few values, each of them often, and short.
_CLASSES, _OFTEN, _SHORT = 20, 5, 40
# Different values that are counted one by one.
_COUNTED = 1_000
# Share of the values that are different where nearly every one is.
_UNIQUE = 0.95
# Characters of a text that is long whatever it is.
_LONG = 60


class Column:
    """What the values of one column have shown so far.

    Attributes:
        name: Its name, or its number from 1.
        rows: Rows that were seen.
        empty: Those without a value.
        values: How often each value is there; no more than the first thousand different ones.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = self.empty = 0
        self.values: Counter[str] = Counter()
        self._seen: set[int] = set()
        self._alone: list[set[str]] = []
        self._characters = self._words = self._numbers = self._ascii = self._nested = self._fractions = self._html = 0

    def begin_file(self) -> None:
        """Say that the values to come are those of another file."""
        self._alone.append(set())

    def add(self, value: object) -> None:
        """See one more value, as CSV, JSON or Parquet has it."""
        self.rows += 1
        if isinstance(value, (list, dict, bytes)):
            self._nested += 1
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
        """Rows with a value."""
        return self.rows - self.empty

    @property
    def distinct(self) -> int:
        """Different values."""
        return len(self._seen)

    @property
    def length(self) -> float:
        """Mean number of characters of a value."""
        return self._characters / max(1, self.filled)

    def fills_a_file(self, value: str) -> bool:
        """Whether one of several files has no other value."""
        return {value} in self._alone

    @property
    def has_breaks(self) -> bool:
        """Whether one value in a hundred or more has HTML's line breaks."""
        return self._html >= max(1, self.filled / 100)

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
    """Return the number that a text is written for; None if it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def text_column(columns: Sequence[Column]) -> Column | None:
    """Return the column that the text seems to be in: one with a plain name, else the longest; None if none is."""
    texts = [column for column in columns if column.kind == "text"]
    named = _named(texts, _TEXTS) or _named([column for column in columns if column.kind in ("other", "id")], _TEXTS)
    return named or max(texts, key=lambda column: column.length, default=None)


def label_columns(columns: Sequence[Column]) -> list[Column]:
    """Return the columns that the label may be in: the one with a plain name, else all with few values."""
    labels = [column for column in columns if column.kind == "label" and column.distinct > 1]
    named = _named(labels, _LABELS)
    return [named] if named else labels


def split_column(columns: Sequence[Column]) -> Column | None:
    """Return the column that says which split a document is in; None if none does."""
    splits = [column for column in columns if column.kind == "split"]
    return _named(splits, _SPLITS) or (splits[0] if len(splits) == 1 else None)


def group_column(columns: Sequence[Column]) -> Column | None:
    """Return the column whose documents belong together, by its name; None if none does."""
    return _named([column for column in columns if column.kind == "group"], _GROUPS)


def no_label_value(column: Column) -> str | None:
    """Return what is in a label column where there is no label; None if every row has one.

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

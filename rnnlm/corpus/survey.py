"""Guesses how files should be read, and describes what they then contain."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from rnnlm.corpus.addresses import find
from rnnlm.corpus.clean import cleaner, label_in, plain_name
from rnnlm.corpus.columns import (
    Column,
    group_column,
    label_columns,
    no_label_value,
    split_column,
    text_column,
)
from rnnlm.corpus.documents import digest_of, records
from rnnlm.corpus.encoding import no_text
from rnnlm.corpus.files import File
from rnnlm.corpus.formats import aclimdb, format_of
from rnnlm.corpus.formats.jsonl import json_rows
from rnnlm.corpus.formats.parquet import parquet_rows
from rnnlm.corpus.formats.table import csv_rows, tsv_rows
from rnnlm.corpus.look import Head, head_of
from rnnlm.corpus.scripts import scripts_of
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import SPLITS, Split
from rnnlm.settings import Corpus

TABLES = ("csv", "tsv", "jsonl", "parquet")

# The largest number of documents, and of their characters, that are read.
DOCUMENTS = 100_000
_CHARACTERS = 300_000_000
# The number of files whose heads are examined. Further files are assumed to be like the first of their format.
_HEADS = 50
# Columns of a table, each of which is looked at in each row.
_COLUMNS = 2_000
# The scripts are found in the beginnings of the first documents: the number of documents, and of characters.
_SAMPLED, _SAMPLE = 5_000, 500
# With this many text files, each is a document. With fewer, their lines or paragraphs are.
_FILES = 20

_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "devel": "valid",
    "test": "test",
    "testing": "test",
}
# Files about the data.
_ABOUT = ("readme", "license", "licence", "notice", "changelog", "citation")
# Names of columns of lists of words.
_WORDS = ("words", "tokens")
_FOLDER_IS_LABEL = r"([^/]+)/[^/]+$"


@dataclass(frozen=True)
class Seen:
    """One document, without its text.

    Attributes:
        digest: Digest of the cleaned text.
        split: The split that its file or row names. None if there is none.
        label: Its label. None if it has none.
        group: Its group.
        length: The number of characters of the cleaned text.
    """

    digest: bytes
    split: Split | None
    label: str | None
    group: str | None
    length: int


@dataclass
class Survey:
    """The content of files of one kind.

    Attributes:
        addresses: The given addresses.
        files: The files of this kind.
        head: The head of the first of them.
        corpus: How to read them, as far as it is known.
        columns: What is known about each column. Empty for plain text.
        label_choices: Names of the possible columns of the label: none, one, or several equally likely ones.
        documents: The documents that were read, without empty ones.
        empty: The number of documents without text.
        whole: Whether everything was read.
        characters: How often each character occurs in the beginnings of the first documents.
        strange: The number of characters of the first documents that do not occur in text.
        words: The number of words separated by spaces, in all documents.
        problems: What keeps files from being read.
    """

    addresses: list[str]
    files: list[File]
    head: Head
    corpus: Corpus
    columns: list[Column] = field(default_factory=list)
    label_choices: list[str] = field(default_factory=list)
    documents: list[Seen] = field(default_factory=list)
    empty: int = 0
    whole: bool = True
    characters: Counter[str] = field(default_factory=Counter)
    strange: int = 0
    words: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def format(self) -> str:
        """The format's name."""
        return self.head.format if self.corpus.format == "auto" and self.head.format else self.corpus.format

    @property
    def about(self) -> list[File]:
        """The files whose names say that they are about the data."""
        return [file for file in self.files if is_about(file)]

    @property
    def lengths(self) -> list[int]:
        """The numbers of characters of the documents, sorted."""
        return sorted(document.length for document in self.documents)

    @property
    def scripts(self) -> dict[str, float]:
        """The share of each script among the letters."""
        return scripts_of(self.characters)

    @property
    def splits(self) -> dict[str, int]:
        """The number of documents of each split that files or rows name. Empty if none is named."""
        counts: Counter[str] = Counter(document.split for document in self.documents if document.split)
        return {split: counts[split] for split in SPLITS if counts[split]}

    @property
    def labels(self) -> Counter[str]:
        """How many documents have each label."""
        return Counter(document.label for document in self.documents if document.label is not None)

    @property
    def unlabelled(self) -> int:
        """The number of documents without a label, if there are labels."""
        return sum(document.label is None for document in self.documents) if self.has_labels else 0

    @property
    def has_labels(self) -> bool:
        """Whether a column or the folders name labels."""
        return self.corpus.labelled

    @property
    def duplicates(self) -> int:
        """The number of documents with the text of an earlier one in the same split."""
        return len(self.documents) - len({(document.split, document.digest) for document in self.documents})

    @property
    def overlap(self) -> dict[str, int]:
        """The number of texts that two splits share, by pair."""
        digests: dict[str, set[bytes]] = defaultdict(set)
        for document in self.documents:
            if document.split:
                digests[document.split].add(document.digest)
        pairs = (("train", "valid"), ("train", "test"), ("valid", "test"))
        counts = {f"{one}+{other}": len(digests[one] & digests[other]) for one, other in pairs}
        return {pair: count for pair, count in counts.items() if count}

    @property
    def classes(self) -> dict[str, Counter[str]]:
        """The number of documents of each split with each label. Documents without a split are in train."""
        counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        for document in self.documents:
            if document.label is not None:
                counts[document.split or "train"][document.label] += 1
        return counts

    def column(self, name: str | None) -> Column | None:
        """Return the column of this name. None if there is none."""
        return next((column for column in self.columns if column.name == name), None)


def survey(
    addresses: Sequence[str],
    downloads: Path,
    *,
    text: str | None = None,
    label: str | None = None,
    limit: int = DOCUMENTS,
) -> list[Survey]:
    """Examine files. There is one survey for all files of one kind (format, encoding, separator, columns).

    Args:
        addresses: Files, folders, globs and addresses, as in a corpus.
        downloads: Folder that keeps archives of the package index.
        text: Column of the text. If None, it is guessed.
        label: Column of the label. If None, it is guessed. If empty, there are no labels.
        limit: The largest number of documents that are read.

    Raises:
        ConfigError: If an address cannot be understood, or a column is missing.
        DataError: If there is no file at an address, or none of its files can be read.
        StoreError: If a store does not answer.
    """
    kinds = _aclimdb(addresses, downloads) or _kinds(addresses, downloads)
    for kind in kinds:
        _choose(kind, text, label, limit)
        _read(kind, limit)
    for field_name, name in (("text", text), ("label", label)):
        if name and not any(kind.column(name) for kind in kinds):
            there = ", ".join(column.name for kind in kinds for column in kind.columns) or "no columns"
            raise ConfigError(f"there is no column {name!r} for the {field_name}.", remedy=f"There are: {there}.")
    return kinds


def split_named(name: str) -> tuple[Split, int] | None:
    """Return the split that a path names, and the part of the path that does. None if there is none."""
    parts = PurePosixPath(name.rpartition("::")[2]).parts
    for position in reversed(range(len(parts))):
        words = re.split(r"[^a-z]+", parts[position].lower())
        if found := [_SPLIT_NAMES[word] for word in words if word in _SPLIT_NAMES]:
            return found[-1], position
    return None


def is_about(file: File) -> bool:
    """Whether a file's name says that it is about the data, such as README.txt."""
    return PurePosixPath(file.name).name.lower().startswith(_ABOUT)


def _aclimdb(addresses: Sequence[str], downloads: Path) -> list[Survey]:
    """Return the survey of a folder in the layout of the Large Movie Review Dataset. Empty for another layout."""
    corpus = Corpus(files=list(addresses), format="aclimdb")
    if len(addresses) != 1 or "::" in addresses[0] or not Path(addresses[0]).is_dir():
        return []
    try:
        files = find(corpus, downloads=downloads).files
    except DataError:
        return []
    places = {aclimdb.split_and_label(file) for file in files}
    deep = [
        file for file in find(Corpus(files=list(addresses)), downloads=downloads).files if file.name.count("/") == 2
    ]
    # The layout has no `dev`. Folders of that name are read like others.
    if not {"train", "test"} <= {split for split, _ in places} or len(deep) > len(files):
        return []
    head = head_of(files[0], format_name="text")
    return [Survey(list(addresses), files, head, corpus)]


def _kinds(addresses: Sequence[str], downloads: Path) -> list[Survey]:
    files = find(Corpus(files=list(addresses)), downloads=downloads).files
    by_format: dict[str | None, list[File]] = defaultdict(list)
    for file in files:
        by_format[format_of(file, Corpus(files=[file.address]))].append(file)
    kinds: dict[tuple[object, ...], Survey] = {}
    problems: list[DataError] = []
    if "conll" in by_format:
        raise _tagged("in CoNLL columns", by_format["conll"][0].address, "", ", label: -1")
    for name, some in by_format.items():
        first: tuple[object, ...] | None = None
        looked_at = set(range(0, len(some), max(1, math.ceil(len(some) / _HEADS))))
        for position, file in enumerate(some):
            if position not in looked_at and first is not None:
                kinds[first].files.append(file)
                continue
            try:
                head = head_of(file, format_name=name)
                guessed = name or _guess(head)
                head = head if name else head_of(file, format_name=guessed)
            except DataError as error:
                problems.append(error)
                continue
            columns = tuple(head.columns) if guessed in ("csv", "tsv", "parquet") else ()
            key: tuple[object, ...] = (guessed, name is None, head.encoding, head.separator, head.header, columns)
            if first is None or not head.rows:
                first = first or key
                key = first
            if key not in kinds:
                fields: dict[str, Any] = {"files": list(addresses)}
                if head.encoding != "auto":
                    fields["encoding"] = head.encoding
                if name is None:
                    fields["format"] = guessed
                if guessed in ("csv", "tsv") and not head.header:
                    fields |= {"header": False, "text": "1"}
                kinds[key] = Survey(list(addresses), [], head, Corpus(**fields))
            kinds[key].files.append(file)
    if not kinds:
        raise problems[0]
    found = list(kinds.values())
    found[0].problems += map(str, problems)
    return found


def _tagged(how: str, address: str, text: str, label: str) -> ConfigError:
    """Return the error for words with tags; `text` and `label` are the fields that a corpus needs to read them."""
    return ConfigError(
        f"These are words with tags, {how}, and `rnnlm look`, `rnnlm new` and `rnnlm.compare` do not read them.",
        where=address,
        remedy=f"Write the experiment by hand. As a target: `target: {{task: tagging, corpus: {{files: [...]{text}"
        f"{label}}}}}`. As a source: `source: {{corpus: {{files: [...]{text}}}}}`.",
    )


def _guess(head: Head) -> str:
    """Return the likely format of a file whose ending says nothing."""
    lines = [str(row["text"]) for row in head.rows[:200] if str(row["text"]).strip()]
    if lines and all(line.startswith("{") and line.rstrip().endswith("}") for line in lines):
        return "jsonl"
    tabs = Counter(line.count("\t") for line in lines)
    return "tsv" if lines and not tabs[0] and tabs.most_common(1)[0][1] >= 0.9 * len(lines) else "text"


def _choose(kind: Survey, text: str | None, label: str | None, limit: int) -> None:
    """Choose how files are read: the columns of tables, what a document is, splits and labels by name."""
    fields: dict[str, Any] = {}
    if kind.corpus.format == "aclimdb":
        beginning = kind.head.rows
        fields["html_breaks"] = any("<br" in str(row["text"]) for row in beginning)
    elif kind.format in TABLES:
        fields |= _columns(kind, text, label, limit)
    else:
        fields |= _plain(kind, label)
    if not kind.has_labels and kind.corpus.format != "aclimdb":
        fields |= _splits_by_name(kind, bool(fields.pop("split_by_row", False)))
    fields.pop("split_by_row", None)
    written = kind.corpus.model_dump(exclude_unset=True) | fields
    if not written.get("html_breaks"):
        written.pop("html_breaks", None)
    kind.corpus = Corpus.model_validate(written)


def _columns(kind: Survey, text: str | None, label: str | None, limit: int) -> dict[str, Any]:
    columns: dict[str, Column] = {name: Column(name) for name in kind.head.columns}
    for rows in _within(kind, limit, (_rows(kind, file) for file in kind.files)):
        for column in columns.values():
            column.begin_file()
        for row in rows:
            for name in row.keys() - columns.keys():
                if len(columns) == _COLUMNS:
                    raise DataError(f"has more than {_COLUMNS:,} columns", where=kind.files[0].address)
                if name:
                    columns[name] = Column(name)
            for name, column in columns.items():
                column.add(row.get(name))
    kind.columns = list(columns.values())
    with_names = [column for column in kind.columns if column.name]
    chosen = kind.column(text) if text else text_column(with_names)
    lists = [one for one in kind.columns if one.holds_words]
    if (chosen in lists) or (chosen is None and text is None and len(lists) > 1):
        words = chosen or next((one for one in lists if one.name.lower() in _WORDS), lists[0])
        rest = [one for one in lists if one is not words]
        tags = next((one for one in rest if "tag" in one.name.lower()), rest[0] if rest else None)
        tagged = f", label: {json.dumps(tags.name, ensure_ascii=False) if tags else 'COLUMN'}"
        named = f", text: {json.dumps(words.name, ensure_ascii=False)}"
        raise _tagged("in columns of lists", kind.files[0].address, named, tagged)
    if chosen is None:
        # Nothing looks like text. The longest column is shown as text, with a warning.
        if not with_names:
            raise DataError("has no column with a name, so none can be the text", where=kind.files[0].address)
        chosen = max(with_names, key=lambda column: column.length)
    fields: dict[str, Any] = {"text": chosen.name, "html_breaks": chosen.has_breaks}
    others = [column for column in with_names if column is not chosen]
    if label is None:
        choices = label_columns(others)
        kind.label_choices = [column.name for column in choices]
        labelled = choices[0] if len(choices) == 1 else None
    else:
        labelled = kind.column(label) if label else None
    if labelled is not None:
        fields["label"] = labelled.name
        if (unlabelled := no_label_value(labelled)) is not None:
            fields["unlabelled"] = unlabelled
    rest = [column for column in others if column is not labelled]
    if (group := group_column(rest)) is not None:
        fields["group"] = group.name
    if (split := split_column(rest)) is not None:
        values = {plain_name(value) for value in split.values}
        if values <= set(SPLITS) and not split.empty:
            fields |= {"split": split.name, "split_by_row": True}
    return fields


def _plain(kind: Survey, label: str | None) -> dict[str, Any]:
    """Choose what a document is in plain text, and whether folders name classes."""
    fields: dict[str, Any] = {}
    rows = [str(row["text"]) for row in kind.head.rows]
    fields["html_breaks"] = sum("<br" in row for row in rows) >= max(1, len(rows) / 100)
    if len(kind.files) < _FILES:
        blank = [not row.strip() for row in rows]
        parts = sum(now and not before for before, now in zip([False, *blank], [*blank, True], strict=False))
        # There are several lines between two empty ones: the lines are wrapped.
        wrapped = any(blank) and (len(rows) - sum(blank)) / max(1, parts) >= 2
        fields["document"] = "paragraph" if wrapped else "line"
    if label != "" and len(kind.files) >= _FILES:
        folders = Counter(PurePosixPath(file.name).parent.name for file in kind.files)
        folders_are_splits = all(split_named(folder) for folder in folders)
        if 2 <= len(folders) <= len(kind.files) / 5 and "" not in folders and not folders_are_splits:
            fields["label_pattern"] = _FOLDER_IS_LABEL
    return fields


def _splits_by_name(kind: Survey, by_row: bool) -> dict[str, Any]:
    """Return the splits that file names give, as addresses. Empty if they give none, or rows do."""
    files = [file for file in kind.files if not is_about(file)]
    named = [split_named(file.name) for file in files]
    found = {name[0] for name in named if name}
    trained_on = "train" in found or not all(named)
    if by_row or len(files) < 2 or not trained_on or not found & {"valid", "test"}:
        return {}
    splits: dict[str, list[str]] = defaultdict(list)
    for file, name in zip(files, named, strict=True):
        # A folder that names a split is one address.
        up = len(PurePosixPath(file.name).parts) - 1 - name[1] if name else 0
        address = str(PurePosixPath(file.address).parents[up - 1]) if up else file.address
        splits[name[0] if name else "train"].append(address)
    kind.files = files
    return {"files": []} | {split: list(dict.fromkeys(some)) for split, some in splits.items()}


def _rows(kind: Survey, file: File) -> Iterator[dict[str, object]]:
    """Read the rows of a table with all their columns, by name."""
    if kind.format == "parquet":
        yield from parquet_rows(file, kind.corpus)
        return
    if kind.format == "jsonl":
        yield from (value for _, value in json_rows(file, kind.corpus))
        return
    names = kind.head.columns
    # The separator is the one that gives these columns.
    wanted = kind.corpus.model_copy(update={"text": [name for name in names if name] or ["1"]})
    rows = csv_rows(file, wanted) if kind.format == "csv" else tsv_rows(file, wanted)
    above = kind.corpus.header
    for _, row in rows:
        if not row or (len(row) > 1 and not any(value.strip() for value in row)):
            continue
        if above:
            above = False
            continue
        yield dict(zip(names, row, strict=False))


def _within(kind: Survey, limit: int, readers: Iterator[Iterator[Any]]) -> Iterator[Iterator[Any]]:
    """Yield the output of each file's reader, up to a limit for all files. Each file gets an equal share of it."""
    left, files = limit, len(kind.files)
    step = max(1, math.ceil(files / limit))
    if step > 1:
        kind.whole = False
    for position, reader in enumerate(readers):
        if position % step:
            continue
        share = max(1, left // math.ceil((files - position) / step))
        counted = _Counted(islice(reader, share + 1), share)
        yield counted
        left -= counted.count
        kind.whole &= not counted.more
        if counted.problem and str(counted.problem) not in kind.problems:
            kind.problems.append(str(counted.problem))


class _Counted(Iterator[Any]):
    """An iterator that counts its items. It stops at its share, and if the data cannot be read."""

    def __init__(self, items: Iterator[Any], share: int) -> None:
        self._items, self._share = items, share
        self.count, self.more = 0, False
        self.problem: Exception | None = None

    def __next__(self) -> Any:
        try:
            item = next(self._items)
        except (DataError, ConfigError) as error:
            self.problem = error
            raise StopIteration from error
        if self.count == self._share:
            self.more = True
            raise StopIteration
        self.count += 1
        return item


def _read(kind: Survey, limit: int) -> None:
    """Read the documents as the corpus says."""
    clean = cleaner(kind.corpus)
    characters = 0
    by_name = {file.address: split for file, split in zip(kind.files, _splits_of(kind), strict=True)}
    for found, file in zip(
        _within(kind, limit, (records(kind.corpus, file) for file in kind.files)),
        _taken(kind.files, limit),
        strict=True,
    ):
        for record, where in found:
            text = "" if record.nothing else clean(record.text)
            if not text:
                kind.empty += record.nothing != "blank"
                continue
            label = record.label or None
            if kind.corpus.label_pattern:
                label = label_in(kind.corpus.label_pattern, file.name)
            split = by_name[file.address] or (record.split if record.split in SPLITS else None)
            kind.documents.append(
                Seen(digest_of(text, where), split, None if record.unlabelled else label, record.group, len(text))
            )
            kind.words += text.count(" ") + 1
            characters += len(text)
            if len(kind.documents) <= _SAMPLED:
                kind.characters.update(text[:_SAMPLE])
                kind.strange += no_text(record.text)
            if characters > _CHARACTERS:
                kind.whole = False
                return


def _taken(files: Sequence[File], limit: int) -> list[File]:
    return list(files[:: max(1, math.ceil(len(files) / limit))])


def _splits_of(kind: Survey) -> list[Split | None]:
    """Return the split that each file's name gives, if the corpus takes splits from names."""
    if not kind.corpus.train:
        return [None] * len(kind.files)
    named = [split_named(file.name) for file in kind.files]
    return [name[0] if name else "train" for name in named]

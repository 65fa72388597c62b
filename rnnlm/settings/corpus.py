"""Where text comes from, and how it is read."""

import codecs
import re
from typing import Annotated, Literal

from pydantic import PlainSerializer, SerializationInfo, field_validator, model_validator

from rnnlm.settings.base import Settings, field


class Replacement(Settings):
    """A regular expression, and what replaces it."""

    pattern: str = field("Regular expression (Python's `re`).", default=" +", min_length=1)
    by: str = field("What replaces it; groups as \\1.", default=" ")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        _compiled(pattern)
        return pattern

    @model_validator(mode="after")
    def _has_the_groups(self) -> "Replacement":
        try:
            # The replacement is read before the text is searched.
            re.compile(self.pattern).sub(self.by, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"by: {self.by!r} does not fit the pattern {self.pattern!r}: {error}") from error
        return self


def _compiled(pattern: str) -> re.Pattern[str]:
    import regex  # it searches; takes a while

    try:
        regex.compile(pattern)
        return re.compile(pattern)
    except (re.error, regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error


# Names in the query of an address that tell that the value is a key.
_SECRET = re.compile(r"key|token|sig|secret|pass|auth|credential|session", re.IGNORECASE)
MASK = "***"


def masked(address: str) -> str:
    """Return an address without its passwords and keys: `https://***@host/x.csv?key=***`."""
    return "::".join(map(_masked_link, address.split("::"))) if "://" in address else address


def _masked_link(link: str) -> str:
    link = re.sub(r"://[^/?#]*@", f"://{MASK}@", link)
    if not link.startswith(("http://", "https://")):
        return link
    # Of the query and of the fragment.
    return re.sub(
        r"([?&#])([^=&#]*)=([^&#]*)", lambda m: f"{m[1]}{m[2]}={MASK}" if _SECRET.search(m[2]) else m[0], link
    )


def _written(address: str, info: SerializationInfo) -> str:
    return address if info.context and info.context.get("secrets") else masked(address)


# Written as JSON, into verdicts, pages and records, it has no password. With the context {"secrets": True} it has.
Address = Annotated[str, PlainSerializer(_written, when_used="json")]


class Corpus(Settings):
    """Where the text is, what a document is, and how it is cleaned and split.

    An address is a path, a glob, any fsspec address (`s3://`, `gs://`, `hf://`, `https://`, chained as in
    `zip://inner.csv::outer.zip`), or `pypi://NAME==VERSION#sha256=DIGEST`, an archive from the package index. A path
    that exists is taken as it is, whatever characters it has; in a glob, `[[]` stands for an opening bracket.
    """

    files: list[Address] = field("Addresses whose documents are split by hash, or by the split column.", default=[])
    train: list[Address] = field("Addresses of the training split, where splits are given as files.", default=[])
    valid: list[Address] = field("Addresses of the validation split; empty: cut from train by hash.", default=[])
    test: list[Address] = field("Addresses of the test split, where splits are given as files.", default=[])
    exclude: list[Address] = field(
        "Addresses whose documents must not be in this corpus (the test set of another one). They are read and "
        "cleaned as its own.",
        default=[],
    )
    format: Literal["auto", "text", "csv", "tsv", "jsonl", "parquet", "conll", "aclimdb"] = field(
        "Format of the files; auto goes by the ending. csv: separated by commas, semicolons, TABs or |, whichever the "
        "first line shows. tsv: separated by TABs, without quoting. conll: a word a line with its tags, an empty line "
        "after each sentence.",
        default="auto",
    )
    encoding: str = field(
        "Encoding of text, CSV, TSV and JSON lines: any name that Python knows, as cp1252. auto: UTF-8, or what a byte "
        "order mark says (UTF-16, UTF-32).",
        default="auto",
    )
    header: bool = field(
        "Whether the first row of CSV and TSV files names the columns. Off: columns are given by number, from 1.",
        default=True,
    )
    document: Literal["file", "line", "paragraph"] = field(
        "What a document is in plain text (in tables it is a row). Paragraphs are parted by empty lines.",
        default="file",
    )
    text: str | list[str] = field(
        "Column of the text, in tables; several are joined by line ends, the empty ones left out. A column of lists "
        "holds words. Of CoNLL columns it is the number, from 1; if left out, the first.",
        default="text",
    )
    label: str | None = field(
        "Column of the label, in tables; if null, the text has no labels. A column of lists holds the tags of words. "
        "Of CoNLL columns it is the number, from 1, or -1: the last.",
        default=None,
    )
    label_pattern: str | None = field(
        "Regular expression whose first group, found in the file's address, is the label (for text files).",
        default=None,
    )
    labels: list[str] = field(
        "Labels to keep, as they are in the data; documents with another one, or with none (but for `unlabelled`), are "
        "dropped. Empty: all.",
        default=[],
    )
    unlabelled: str | None = field(
        "The entry of the label column of a document without a label: it is text for the language model alone, and "
        "is in train, or where its group is.",
        default=None,
    )
    vector: str | None = field(
        "Column of lists of numbers, in Parquet and JSON lines: a vector of each document, made by any other model (a "
        "sentence embedding), for the arm `embeddings`. Labelled documents need one.",
        default=None,
    )
    group: str | None = field("Column whose documents stay in one split together (a film, an author).", default=None)
    split: str | None = field(
        "Column that holds train, valid or test. Where no row is valid, valid_share is cut from train.", default=None
    )
    valid_share: float = field("Share of documents in the validation split.", default=0.05, ge=0.0, le=0.5)
    test_share: float = field(
        "Share of documents in the test split, where none is given.", default=0.05, ge=0.0, le=0.5
    )
    html_breaks: bool = field("Turn <br> and <p> tags into line breaks.", default=False)
    replace: list[Replacement] = field("Replacements in each document, in order.", default=[])
    drop_empty: bool = field(
        "Drop documents without text. Off keeps the empty lines of WikiText, which count an <eos> each.", default=True
    )
    drop_duplicates: bool = field(
        "Drop documents whose cleaned text was seen before in the same split. Off keeps an official split whole.",
        default=True,
    )
    drop_overlap: bool = field(
        "Drop documents from train (and valid) that are in test (or valid), too; they are always reported.",
        default=True,
    )
    max_characters: int = field(
        "Longest document, in characters; a longer one is an error that names it.",
        default=10_000_000,
        ge=1_000,
        le=1_000_000_000,
    )

    @field_validator("text", "label", "vector", "group", "split", "labels", "unlabelled", mode="before")
    @classmethod
    def _is_text(cls, value: object) -> object:
        """Take numbers and truth values for the text that a table has of them."""
        if isinstance(value, list):
            return [cls._is_text(item) for item in value]
        if isinstance(value, bool):
            return str(value).lower()
        return str(value) if isinstance(value, int) else value

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        if encoding == "auto":
            return encoding
        try:
            # Python's codecs of bytes (base64, zip) are looked up by name, too, and refused here.
            "".encode(encoding)
            codecs.getincrementaldecoder(encoding)
        except (LookupError, UnicodeError, ValueError) as error:
            raise ValueError("no encoding that Python knows; for example utf-8, cp1252, gb18030, utf-16") from error
        return encoding

    @field_validator("label_pattern")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        if pattern is not None and _compiled(pattern).groups < 1:
            raise ValueError("the regular expression needs a group, as in '(pos|neg)'")
        return pattern

    @model_validator(mode="after")
    def _files_agree(self) -> "Corpus":
        if not self.files and not self.train:
            raise ValueError("needs `files`, or `train` (with `test`)")
        if self.files and (self.train or self.valid or self.test):
            raise ValueError("`files` are split here; `train`, `valid` and `test` are split already: give one of both")
        if self.label and self.label_pattern:
            raise ValueError("`label` and `label_pattern` both name the label: give one of both")
        if self.label is not None and self.label in self.texts:
            raise ValueError(f"`label` and `text` both name the column {self.label!r}: a text is no class")
        if self.unlabelled is not None and not self.label:
            raise ValueError("`unlabelled` is a value of the label column, and `label` names none")
        if self.labels and not self.labelled:
            raise ValueError(
                "`labels` keeps documents by their label, and neither `label` nor `label_pattern` names it"
            )
        if self.valid_share + self.test_share >= 1.0:
            raise ValueError("`valid_share` and `test_share` leave nothing to train on: their sum must be below 1")
        if not self.texts or not all(self.texts):
            raise ValueError("`text` needs the name of a column")
        for name in [] if self.header else self.columns:
            if not re.fullmatch("[1-9][0-9]{0,8}", name):
                raise ValueError(f"with `header: false` columns are numbers from 1, and {name!r} is none")
        return self

    @property
    def texts(self) -> list[str]:
        """The columns of the text."""
        return [self.text] if isinstance(self.text, str) else self.text

    @property
    def columns(self) -> list[str]:
        """The columns of a table that are read, each once."""
        others = (self.label, self.vector, self.group, self.split)
        return list(dict.fromkeys([*self.texts, *(name for name in others if name)]))

    @property
    def labelled(self) -> bool:
        """Whether its documents have labels."""
        return bool(self.label or self.label_pattern or self.format == "aclimdb")

"""The first step: text from anywhere becomes `documents.parquet`, cleaned, counted and split."""

import hashlib
import json
import logging
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rnnlm.corpus.addresses import find, resolve_excluded
from rnnlm.corpus.bio import classes_of, iob2
from rnnlm.corpus.clean import cleaner, label_in, plain_name
from rnnlm.corpus.columns import number_of
from rnnlm.corpus.encoding import no_text
from rnnlm.corpus.files import File
from rnnlm.corpus.formats import aclimdb, format_of, read
from rnnlm.corpus.formats.record import Record, too_long
from rnnlm.corpus.schema import DOCUMENTS, schema_of, with_counts
from rnnlm.corpus.split import split_of
from rnnlm.corpus.words import cleaned, joined, spans
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import SPLITS, DocumentsRef, LabelKind, Split
from rnnlm.settings import Corpus
from rnnlm.settings.base import unwritable
from rnnlm.store import whole_folder

logger = logging.getLogger("rnnlm.steps")

# Limits of a row group, which is the part in memory: documents and characters.
_ROWS = 2_048
_CHARACTERS = 4_000_000

# The largest share of a file's characters that may be control characters or U+FFFD.
_STRANGE = 0.3

ONE_DOCUMENT = (
    "There is one document only: with `document: file` each text file is one. Give `document: line` or `paragraph`."
)

_BY_NAME: dict[str, Split] = {"train": "train", "valid": "valid", "test": "test"}
_PAIRS = (("train", "valid"), ("train", "test"), ("valid", "test"))


def ingest(corpus: Corpus, final: Path, *, downloads: Path, label_kind: LabelKind = "class") -> DocumentsRef:
    """Read, clean and split a corpus. Write `final/documents.parquet`, in the order train, valid, test.

    Documents are processed one by one. For the whole corpus, only a digest of 16 bytes per document is in memory.

    Args:
        corpus: What to read and how.
        final: The folder to write. It is written completely or not at all.
        downloads: Folder that keeps archives of the package index.
        label_kind: What the labels are.

    Raises:
        ConfigError: If fields contradict each other, or a file system is not installed.
        DataError: If a file, a row or a document cannot be used, or nothing is left to train on.
        StoreError: If a remote store does not answer, or the disk is full.
    """
    _check(corpus, label_kind)
    files, junk = find(corpus, downloads=downloads)
    if junk:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in junk.most_common())
        logger.info("Passed over %d files that are no data (%s).", junk.total(), kinds)
    excluded = _digests(corpus, resolve_excluded(corpus, downloads=downloads))
    with whole_folder(final) as work, tempfile.TemporaryDirectory(dir=work) as scratch:
        parts = {split: Path(scratch) / f"{split}.parquet" for split in SPLITS}
        dropped, duplicates, digests = _write_parts(corpus, files, excluded, parts, label_kind)
        overlap = {f"{one}+{other}": len(digests[one] & digests[other]) for one, other in _PAIRS}
        # The splits that must not contain a document's text: those after its own.
        barred: dict[str, set[bytes]] = {split: set() for split in SPLITS}
        if corpus.drop_overlap:
            barred = {
                "train": (digests["train"] & digests["valid"]) | (digests["train"] & digests["test"]),
                "valid": digests["valid"] & digests["test"],
                "test": set(),
            }
        dropped = {"junk": junk.total(), **dropped}
        ref = _summary(corpus, files, parts, barred, dropped, overlap, final, label_kind)
        ref = ref.model_copy(update={"duplicates": duplicates})
        schema = with_counts(schema_of(label_kind, corpus.vector is not None), ref.documents)
        with pq.ParquetWriter(work / "documents.parquet", schema, compression="zstd") as writer:
            for split in SPLITS:
                for table in _kept(parts[split], barred[split]):
                    writer.write_table(table.cast(writer.schema))
    return ref


def _check(corpus: Corpus, label_kind: LabelKind) -> None:
    by_files = bool(corpus.train)
    if corpus.format == "aclimdb" and by_files:
        remedy = "Give the folder that holds train/ and test/ in `files`."
        raise ConfigError("the layout aclimdb knows its splits itself.", where="train, valid, test", remedy=remedy)
    if corpus.split and by_files:
        raise ConfigError("the splits are given as files, and as a column too.", where="split", remedy="Give one.")
    if label_kind == "tags":
        for field in ("labels", "label_pattern"):
            if getattr(corpus, field):
                problem = "it is for documents with one label, and the target task is tagging."
                raise ConfigError(problem, where=field, remedy=f"Leave `{field}` out.")


def _digests(corpus: Corpus, files: list[File]) -> set[bytes]:
    """Return the digests of the cleaned documents of files."""
    clean = cleaner(corpus)
    texts = ((clean(record.text), place) for file in files for record, place in records(corpus, file))
    # An empty line in a test set is no reason to drop empty lines of the text.
    return {digest_of(text, place) for text, place in texts if text}


def records(corpus: Corpus, file: File, label_kind: LabelKind = "class") -> Iterator[tuple[Record, str]]:
    """Read the documents of a file, each with its place in it. Names of labels, groups and splits are cleaned.

    Args:
        corpus: How the file is read.
        file: The file.
        label_kind: What the labels are; numbers are written in one way, so that "-1" and "-1.0" are the same.

    Raises:
        DataError: If a document is too long, or much of the file is not text.
    """
    unlabelled = None if corpus.unlabelled is None else _plain_label(corpus.unlabelled, label_kind)
    characters = strange = 0
    for record in read(file, corpus):
        where = f"{file.address}, {record.place}" if record.place else file.address
        if len(record.text) > corpus.max_characters:
            raise too_long(corpus.max_characters, where)
        characters += len(record.text)
        strange += no_text(record.text)
        label = None if record.label is None else _plain_label(record.label, label_kind)
        if label_kind == "tags" and record.tags is not None:
            label = _tags(corpus, record, where)
        names = (("group", record.group), ("split", record.split))
        group, split = (None if name is None else _name(name, what) for what, name in names)
        without = record.unlabelled or (unlabelled is not None and (label or "") == unlabelled)
        yield record._replace(label=label, group=group, split=split, unlabelled=without), where
    if strange > _STRANGE * characters:
        problem = f"not text: {strange:,} of {characters:,} characters are control characters or U+FFFD."
        remedy = "Leave the file out, or create it again from an undamaged text (another `encoding` may be right)."
        raise DataError(problem, where=file.address, remedy=remedy)


def _write_parts(
    corpus: Corpus, files: list[File], excluded: set[bytes], parts: dict[str, Path], label_kind: LabelKind
) -> tuple[dict[str, int], dict[str, int], dict[str, set[bytes]]]:
    """Write the cleaned documents of each split to a file.

    Returns:
        The number of dropped documents by reason, the number of duplicates by split, and all digests.
    """
    clean = cleaner(corpus)
    assign = _assigner(corpus, files)
    labels = {_plain_label(label, label_kind) for label in corpus.labels}
    dropped = {"blank": 0, "empty": 0, "label": 0, "unlabelled": 0, "excluded": 0, "duplicate": 0, "overlap": 0}
    missing: list[str] = []
    duplicates = dict.fromkeys(SPLITS, 0)
    digests: dict[str, set[bytes]] = {split: set() for split in SPLITS}
    kinds = (False, True) if corpus.unlabelled is not None else (None,)
    schema, width = schema_of(label_kind, corpus.vector is not None), 0
    with ExitStack() as stack:
        writers = {split: stack.enter_context(_Writer(path, schema)) for split, path in parts.items()}
        # Documents with a label are read first, so that of two copies the one with a label is kept.
        for file, without_label in [(file, without) for without in kinds for file in files]:
            for record, where in records(corpus, file, label_kind):
                if without_label is not None and record.unlabelled is not without_label:
                    continue
                if record.nothing == "blank":
                    dropped["blank"] += 1
                    continue
                words = cleaned(record.words or (), clean) if label_kind == "tags" else []
                text = joined(words) or clean(record.text)
                if not text and corpus.drop_empty:
                    dropped["empty"] += 1
                    continue
                if record.nothing:
                    missing.append(where)
                    continue
                label = _label(corpus, file, record, where, label_kind)
                without = corpus.unlabelled is not None and record.unlabelled
                if labels and label not in labels and not without:
                    dropped["unlabelled" if label is None else "label"] += 1
                    continue
                digest = digest_of(text, where)
                if digest in excluded:
                    dropped["excluded"] += 1
                    continue
                group = record.group or None
                split = assign(file, record, digest, where)
                if corpus.drop_duplicates and digest in digests[split]:
                    dropped["duplicate"] += 1
                    duplicates[split] += 1
                    continue
                digests[split].add(digest)
                width = _checked_width(corpus, record, label, width, where)
                name = f"{file.name}, {record.place}" if record.place else file.name
                row = (name, text, label, group, split, digest)
                extra = {"words": spans(words), "vector": record.vector}
                writers[split].add(dict(zip(DOCUMENTS.names, row, strict=True)) | extra)
    if missing:
        named = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        count = "a document has" if len(missing) == 1 else f"{len(missing):,} documents have"
        problem = f"{count} no text (a null, or an empty file): {named}."
        remedy = "Remove them, or set `drop_empty: true` to drop them."
        raise DataError(problem, where=_addresses(corpus), remedy=remedy)
    return dropped, duplicates, digests


def _checked_width(corpus: Corpus, record: Record, label: str | None, width: int, where: str) -> int:
    """Check a document's vector, and return the width of all vectors.

    Args:
        corpus: The corpus.
        record: The document.
        label: Its label; without one, it needs no vector.
        width: Width of the vectors before it; 0 if there was none.
        where: Its place.

    Raises:
        DataError: If it has none, or one of another width.
    """
    if corpus.vector is None:
        return 0
    if record.vector is None:
        if label is None:
            return width
        remedy = "Give each labelled document a vector, or name another column in `vector`, or leave it out."
        raise DataError(f"the vector ({corpus.vector!r}) is missing.", where=where, remedy=remedy)
    found = len(record.vector)
    if width and found != width:
        problem = f"the vector ({corpus.vector!r}) has {found:,} numbers, and those before it have {width:,}."
        raise DataError(problem, where=where, remedy="Make all vectors with the same model.")
    return found


def _name(name: str, what: str) -> str:
    """Return the name of a label, group or split without what does not belong to it.

    Raises:
        DataError: If it contains half of a surrogate pair.
    """
    if shown := unwritable(name):
        raise DataError(f"the {what} '{shown}' has half of a surrogate pair, which is not text.")
    return plain_name(name)


def _plain_label(label: str, label_kind: LabelKind) -> str:
    """Return a label without what does not belong to it; a number as Python writes it."""
    plain = _name(label, "label")
    number = number_of(plain) if label_kind == "number" else None
    return plain if number is None else repr(number)


def _tags(corpus: Corpus, record: Record, where: str) -> str:
    """Return the tags of a document's words in IOB2, with spaces between them.

    Raises:
        DataError: If there are no words, another number of them, or a tag marks no entity.
    """
    words, tags = record.words or (), [_name(tag, "tag") for tag in record.tags or ()]
    if len(words) != len(tags):
        problem = f"the numbers of words and tags differ: {len(words):,} and {len(tags):,}."
        remedy = "Write a tag for each word." if record.words else "Name a column of lists of words in `text`."
        raise DataError(problem, where=where, remedy=remedy)
    try:
        return " ".join(iob2(tags))
    except ValueError as error:
        remedy = (
            f"Look whether `label` names the column of the tags (it is {corpus.label!r}). Write O for a word that is "
            "in no entity, B-PER for the first word of a person's name and I-PER for the others, without spaces."
        )
        raise DataError(f"{error}.", where=where, remedy=remedy) from error


def _label(corpus: Corpus, file: File, record: Record, where: str, label_kind: LabelKind) -> str | None:
    """Return a document's label. None if the corpus has no labels, or this document needs none.

    Raises:
        DataError: If there is none where there must be one, or it is not a number where it must be.
    """
    if corpus.label_pattern is not None:
        # The address below the corpus' own folder comes first: the place of that folder must not decide a label.
        label = label_in(corpus.label_pattern, file.name) or label_in(corpus.label_pattern, file.address)
        if not label:
            raise DataError("`label_pattern` finds no label in the address.", where=file.address)
        return _checked(_plain_label(label, label_kind), where, label_kind)
    if (corpus.label is None and corpus.format != "aclimdb") or record.unlabelled:
        return None
    label = record.label or None
    if label and label_kind == "tags" and record.tags is None:
        problem = f"the label ({corpus.label!r}) is {label[:40]!r}, not a list of tags, and the target task is tagging."
        raise DataError(problem, where=where, remedy="Name a column of lists in `label`, or read CoNLL columns.")
    if record.tags is not None and label_kind != "tags":
        problem = f"the label ({corpus.label!r}) is a list of tags, not one label."
        raise DataError(
            problem,
            where=where,
            remedy="Set target.task to tagging, or name another `label`; a source needs none.",
        )
    if not label and not corpus.labels:
        remedy = (
            "Give the document a label, or name all classes in `labels`: documents without a label are then dropped."
            if label_kind == "class"
            else 'Write a tag for each word, or set `unlabelled: ""`: such a document is then text without tags.'
            if label_kind == "tags"
            else 'Give the document a number, or set `unlabelled: ""`: it is then text without a label.'
        )
        raise DataError(f"the label ({corpus.label!r}) is missing.", where=where, remedy=remedy)
    return None if label is None else _checked(label, where, label_kind)


def _checked(label: str, where: str, label_kind: LabelKind) -> str:
    number = number_of(label) if label_kind == "number" else 0.0
    if number is None or not math.isfinite(number):
        raise DataError(
            f"the label {label[:40]!r} is not a number, and the target task is regression.",
            where=where,
            remedy="Write numbers as 3.5 (with a point, without a unit), name another column in `label`, or say in "
            "`unlabelled` which value means that a document has none.",
        )
    return label


def digest_of(text: str, where: str) -> bytes:
    """Return the digest of a cleaned text.

    Raises:
        DataError: If the text contains half of a surrogate pair.
    """
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        problem = f"character {error.start + 1} of the text is half of a surrogate pair, not text."
        raise DataError(problem, where=where) from error
    return hashlib.blake2b(content, digest_size=16).digest()


def _assigner(corpus: Corpus, files: list[File]) -> Callable[[File, Record, bytes, str], Split]:
    """Return the function that returns the split of a document."""
    given: set[str | None]
    if corpus.format == "aclimdb":
        given = {aclimdb.split_and_label(file)[0] for file in files}
    elif corpus.split:
        # Many sets have train and test rows alone. To know it, the rows are read until one is marked valid.
        every = (record.split for file in files for record, _ in records(corpus, file))
        given = {"test", "valid" if any(split == "valid" for split in every) else None}
    else:
        given = {file.split for file in files if file.split}
    valid_share = 0.0 if "valid" in given else corpus.valid_share
    test_share = 0.0 if "test" in given else corpus.test_share

    def assign(file: File, record: Record, digest: bytes, where: str) -> Split:
        stated = _stated(corpus, file, record, where)
        # A group stays together, whether or not its documents have labels.
        if stated in ("valid", "test") or (record.unlabelled and not record.group):
            return stated or "train"
        return split_of(digest, record.group or None, valid_share=valid_share, test_share=test_share)

    return assign


def _stated(corpus: Corpus, file: File, record: Record, where: str) -> Split | None:
    """Return the split that a document's file or row names."""
    if file.split is not None or (record.split is None and corpus.split is None):
        return file.split
    split = _BY_NAME.get(record.split or "")
    if split is None:
        problem = f"the split is {record.split!r}." if record.split else "the split is empty."
        raise DataError(problem, where=where, remedy=f"Accepted: {', '.join(_BY_NAME)}.")
    return split


class _Writer:
    """Writes documents to a Parquet file, in small row groups."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._parquet = pq.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._characters = 0

    def add(self, row: dict[str, Any]) -> None:
        """Add a document. Of its values, those of the schema are written."""
        self._rows.append(row)
        self._characters += len(row["text"]) + len(row["vector"] if row["vector"] is not None else ())
        if len(self._rows) >= _ROWS or self._characters >= _CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        self._parquet.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []
        self._characters = 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._rows:
            self._flush()
        self._parquet.close()


def _kept(part: Path, barred: set[bytes], columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Read the file of a split, one row group at a time, without the barred documents."""
    with pq.ParquetFile(part) as parquet:
        for index in range(parquet.num_row_groups):
            table = parquet.read_row_group(index, columns=columns)
            if barred:
                table = table.filter(pa.array([digest not in barred for digest in table["digest"].to_pylist()]))
            if table.num_rows:
                yield table


def _summary(
    corpus: Corpus,
    files: list[File],
    parts: dict[str, Path],
    barred: dict[str, set[bytes]],
    dropped: dict[str, int],
    overlap: dict[str, int],
    final: Path,
    label_kind: LabelKind,
) -> DocumentsRef:
    """Count the documents that are kept, check that they can be trained on, and compute the digest."""
    vectors = corpus.vector is not None
    columns = [name for name in schema_of(label_kind, vectors).names if name != "text"]
    documents, labelled = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    labels: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    content = hashlib.sha256(b"" if label_kind == "class" else label_kind.encode())
    of_vectors, read_rows = hashlib.sha256(), 0
    for split in SPLITS:
        count = 0
        read_rows += pq.read_metadata(parts[split]).num_rows
        for table in _kept(parts[split], barred[split], columns):
            documents[split] += table.num_rows
            given = [label for label in table["label"].to_pylist() if label is not None]
            count += len(given)
            labels[split].update(given if label_kind != "tags" else (tag for label in given for tag in label.split()))
            if vectors:
                of_vectors.update(json.dumps(table["vector"].is_valid().to_pylist()).encode())
                of_vectors.update(table["vector"].combine_chunks().flatten().to_numpy().tobytes())
            for row in table.drop_columns(["vector"] if vectors else []).to_pylist():
                content.update(json.dumps([*row.values()], default=bytes.hex).encode() + b"\n")
        labelled[split] = count
    dropped = dropped | {"overlap": read_rows - sum(documents.values())}
    _check_trainable(corpus, files, documents, labels["train"], dropped)
    return DocumentsRef(
        path=final,
        sha256=content.hexdigest(),
        documents=documents,
        labels=_classes(set().union(*labels.values()), label_kind),
        label_kind=label_kind,
        labelled=labelled,
        dropped=dropped,
        overlap=overlap,
        vectors_sha256=of_vectors.hexdigest() if vectors else "",
    )


def _classes(labels: set[str], label_kind: LabelKind) -> list[str]:
    """Return the classes that labels of a kind are indices of."""
    if label_kind == "tags":
        return classes_of(labels)
    return sorted(labels) if label_kind == "class" else []


def _check_trainable(
    corpus: Corpus,
    files: list[File],
    documents: dict[str, int],
    labels: Counter[str],
    dropped: dict[str, int],
) -> None:
    where = _addresses(corpus)
    if not documents["train"]:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items() if count) or "none"
        problem = f"no training documents are left (dropped: {counts}; elsewhere: {sum(documents.values()):,})."
        remedy = "Look at the text, at `labels` and at the shares of the splits."
        if len(files) == 1 and corpus.document == "file" and format_of(files[0], corpus) == "text":
            remedy = ONE_DOCUMENT
        raise DataError(problem, where=where, remedy=remedy)
    by_label = bool(corpus.label or corpus.label_pattern)
    if len(labels) == 1 or (by_label and not labels):
        kept = f"there is only {next(iter(labels))!r}" if labels else "there is none"
        problem = f"the labelled training documents need at least two different labels; {kept}."
        raise DataError(problem, where=where, remedy="Look at the label column or pattern, and at `labels`.")


def empty_split(corpus: Corpus, documents: DocumentsRef, split: str) -> tuple[str, str]:
    """Return which field of the corpus makes a split empty, and what to do about it."""
    if corpus.split:
        remedy = f"No document is marked {split!r} in the column {corpus.split!r}: mark some, or leave `split` out and "
        share = " A valid_share above 0 cuts the validation split from train." if split == "valid" else ""
        return "split", f"{remedy}have the splits cut by share.{share}"
    if getattr(corpus, split):
        counts = ", ".join(f"{count:,} {reason}" for reason, count in documents.dropped.items() if count)
        return split, f"None of the documents in its files was kept (dropped in all: {counts or 'none'})."
    in_tables = corpus.columns != ["text"] or corpus.format not in ("auto", "text")
    if documents.documents["train"] == 1 and corpus.document == "file" and not in_tables:
        return "document", ONE_DOCUMENT
    return f"{split}_share", "Give a larger share, or files for this split."


def _addresses(corpus: Corpus) -> str:
    return ", ".join((corpus.files or corpus.train)[:3])

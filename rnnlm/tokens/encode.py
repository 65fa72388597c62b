"""The tokenize step: documents.parquet to tokens.parquet and tokenizer.json."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm import settings
from rnnlm.apart import apart
from rnnlm.checksums import checked
from rnnlm.errors import DataError
from rnnlm.refs import SPLITS, DocumentsRef, ShardRef, TokenizerRef, TokensRef, token_files
from rnnlm.store import file_sha256, files_sha256, made_anew, whole_folder
from rnnlm.tokens.kinds import SPECIAL_TOKENS, train
from rnnlm.tokens.reader import split_row_groups, unreadable
from rnnlm.tokens.tokenizer import TextTokenizer

# Documents that are in memory as text at a time, and tokens that are written at a time.
_BATCH = 256
_COLUMNS = ["id", "text", "label", "split"]
_LABELS = {"class": pa.int16(), "number": pa.float64(), "tags": pa.list_(pa.int16())}
_ROW_GROUP_TOKENS = 2**22
# Tokens of a file, at most. Its flat copy, which is mapped, has 200 MB at two bytes a token.
_FILE_TOKENS = 100_000_000
# Bytes of the documents' file up to which a tokenizer is trained in this process: a second or two.
_TRAINED_HERE = 2**18
# They hold up to four million characters each: a shard is ten seconds of work or so.
_SHARD_ROW_GROUPS = 16


@dataclass(frozen=True)
class Shard:
    """A part of the documents that can be encoded by itself.

    Attributes:
        split: The split of its documents.
        row_groups: Where they are in the file of the documents.
    """

    split: str
    row_groups: list[int]


def shards(documents: DocumentsRef) -> list[Shard]:
    """Cut documents into shards, in the order in which `tokenize` joins them; none if there are few documents.

    Raises:
        DataError: If the documents cannot be read.
    """
    groups = {split: _row_groups(documents.file, split) for split in SPLITS}
    if max(map(len, groups.values())) <= _SHARD_ROW_GROUPS:
        return []
    return [
        Shard(split, found[start : start + _SHARD_ROW_GROUPS])
        for split, found in groups.items()
        for start in range(0, len(found), _SHARD_ROW_GROUPS)
    ]


def learn(documents: DocumentsRef, tokenizer: settings.Tokenizer, final: Path) -> TokenizerRef:
    """Train a tokenizer on the training split, and write `tokenizer.json`.

    Raises:
        ConfigError: If the vocabulary is too small for the kind of tokenizer.
        DataError: If there are no training documents, or nothing but special tokens was learnt.
    """
    with whole_folder(final) as work:
        learnt = _tokenizer(documents, tokenizer, work)
    return TokenizerRef(path=final, sha256=learnt.sha256)


def encode_shard(documents: DocumentsRef, tokenizer: Path, shard: Shard, final: Path) -> ShardRef:
    """Encode one shard, into `tokens.arrow` with `tokenizer.json` beside it.

    Args:
        documents: The documents of the ingest step.
        tokenizer: The `tokenizer.json` to use.
        shard: Which of them.
        final: The folder that is written.

    Raises:
        DataError: If the documents are not those of the reference, or the tokenizer cannot be read.
    """
    with whole_folder(final) as work:
        text_tokenizer = _tokenizer(documents, tokenizer, work)
        schema = _schema(documents, text_tokenizer)
        ref = ShardRef(path=work, sha256="", split=shard.split)
        with pa.ipc.new_file(str(ref.file), schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            for batch in _batches(documents.file, shard.split, _columns(documents), shard.row_groups):
                writer.write_table(_encode(batch, text_tokenizer, documents, schema))
        sha256 = file_sha256(ref.file)
    return ref.model_copy(update={"path": final, "sha256": sha256})


def tokenize(
    documents: DocumentsRef,
    tokenizer: settings.Tokenizer | Path,
    final: Path,
    encoded: Sequence[ShardRef] | None = None,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> TokensRef:
    """Encode all documents, with a tokenizer that is trained on the training split, or with one that is given.

    Writes `tokens.parquet` (id, split, label, ids, n_characters, n_bytes, n_words; train, valid, test) and
    `tokenizer.json`. A text of more than a hundred million tokens is written into several files. Every document is
    `<bos> tokens <eos>`; of the kind whitespace it is `tokens <eos>`.

    WikiText's published counts hold an `<eos>` for empty lines too (2,088,628 tokens in WikiText-2's training split):
    ingest keeps those with `drop_empty` off.

    Args:
        documents: The documents of the ingest step.
        tokenizer: What to train, or the `tokenizer.json` to use.
        final: The folder that is written.
        encoded: All shards, in their order, where they were encoded before; the result is the same to the bit.
        report: Called with the number of documents that are written, and with the number of all.

    Raises:
        ConfigError: If the vocabulary is too small for the kind of tokenizer.
        DataError: If there are no training documents, if nothing but special tokens was learnt, if the documents
            are not those of the reference, or if the given tokenizer cannot be read.
    """
    with whole_folder(final) as work:
        text_tokenizer = _tokenizer(documents, encoded[0].tokenizer if encoded else tokenizer, work)
        n_files, tokens, unknown = _write_tokens(documents, text_tokenizer, work, encoded, report)
        # The files' metadata hold the tokenizer's digest, so this digest is of both.
        sha256 = files_sha256(token_files(work, n_files))
    return TokensRef(
        path=final,
        sha256=sha256,
        tokenizer_sha256=text_tokenizer.sha256,
        documents_sha256=documents.sha256,
        vocabulary_size=text_tokenizer.size,
        tokens=tokens,
        unknown=unknown,
        documents={split: documents.documents.get(split, 0) for split in SPLITS},
        labels=documents.labels,
        n_files=n_files,
    )


def _tokenizer(documents: DocumentsRef, tokenizer: settings.Tokenizer | Path, folder: Path) -> TextTokenizer:
    """Train a tokenizer, or copy one, into a folder."""
    if documents.documents.get("train", 0) == 0:
        raise DataError(
            "there are no training documents to learn a vocabulary from",
            where=str(documents.file),
            remedy="Give more documents, or smaller shares for the validation and test splits.",
        )
    if len(documents.labels) > np.iinfo(np.int16).max:
        raise DataError(
            f"has {len(documents.labels):,} classes",
            where=f"{documents.file}: label",
            remedy="Choose a column that holds a class, not an id or a text.",
        )
    file = folder / "tokenizer.json"
    if isinstance(tokenizer, Path):
        TextTokenizer.load(tokenizer)
        shutil.copyfile(tokenizer, file)
    else:
        # A process of its own takes a second to start: that is for trainings that take longer themselves.
        long = documents.file.is_file() and documents.file.stat().st_size > _TRAINED_HERE
        apart(_train, tokenizer, documents.file, file) if long else _train(tokenizer, documents.file, file)
    text_tokenizer = TextTokenizer.load(file)
    _check_vocabulary(text_tokenizer, documents.file)
    return text_tokenizer


def _train(tokenizer: settings.Tokenizer, documents: Path, file: Path) -> None:
    train(tokenizer, _texts(documents, "train")).save(str(file))


def _check_vocabulary(tokenizer: TextTokenizer, file: Path) -> None:
    if set(tokenizer.tokens) <= set(SPECIAL_TOKENS):
        raise DataError(
            "the vocabulary holds nothing but special tokens",
            where=str(file),
            remedy="The training documents have no text that this kind of tokenizer can use: look at them, "
            "or choose another tokenizer.kind.",
        )


def _write_tokens(
    documents: DocumentsRef,
    tokenizer: TextTokenizer,
    folder: Path,
    encoded: Sequence[ShardRef] | None,
    report: Callable[[int, int], None],
) -> tuple[int, dict[str, int], dict[str, int]]:
    """Write the tokens of all splits; return the number of files, and of each split the tokens and unknown tokens."""
    schema = _schema(documents, tokenizer)
    tokens: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    with _Files(folder, schema) as files:
        for split in SPLITS:
            pending: list[pa.Table] = []
            pending_tokens = 0
            if encoded is None:
                batches = _batches(documents.file, split, _columns(documents))
                tables = (_encode(batch, tokenizer, documents, schema) for batch in batches)
            else:
                tables = (table for shard in encoded if shard.split == split for table in _tables(shard))
            for table in tables:
                ids = table["ids"].chunk(0).values.to_numpy()
                pending.append(table)
                pending_tokens += len(ids)
                tokens[split] += len(ids)
                unknown[split] += int(np.count_nonzero(ids == tokenizer.unk))
                rows[split] += len(table)
                report(rows.total(), sum(documents.documents.values()))
                if pending_tokens >= _ROW_GROUP_TOKENS:
                    files.write_row_group(pending, pending_tokens)
                    pending, pending_tokens = [], 0
            # No row group holds two splits, so that a split is read without the others.
            files.write_row_group(pending, pending_tokens)
    found = {split: rows[split] for split in SPLITS}
    promised = {split: documents.documents.get(split, 0) for split in SPLITS}
    if found != promised:
        raise DataError(
            f"holds {found} documents, but its reference says {promised}",
            where=str(documents.file),
            remedy=made_anew(documents.file),
        )
    return files.count, {split: tokens[split] for split in SPLITS}, {split: unknown[split] for split in SPLITS}


class _Files:
    """The Parquet files of a text while they are written: a row group that would make one too long begins another.

    Args:
        folder: Where they are written.
        schema: Their columns and metadata.

    Attributes:
        count: Number of files.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.count = 0
        self._folder, self._schema = folder, schema

    def __enter__(self) -> "_Files":
        self._begin()
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        if failed is None:
            # How a single file is called is known when no second one was begun.
            for number, file in enumerate(token_files(self._folder, self.count)):
                self._numbered(number).rename(file)

    def write_row_group(self, tables: list[pa.Table], n_tokens: int) -> None:
        """Write tables as one row group, which is never parted; nothing if there are none."""
        if not tables:
            return
        if self._tokens and self._tokens + n_tokens > _FILE_TOKENS:
            self._writer.close()
            self._begin()
        table = pa.concat_tables(tables)
        self._writer.write_table(table, row_group_size=len(table))
        self._tokens += n_tokens

    def _begin(self) -> None:
        self._writer = pq.ParquetWriter(self._numbered(self.count), self._schema, compression="zstd")
        self._tokens = 0
        self.count += 1

    def _numbered(self, number: int) -> Path:
        return self._folder / f"{number}.parquet"


def _schema(documents: DocumentsRef, tokenizer: TextTokenizer) -> pa.Schema:
    id_type = pa.from_numpy_dtype(np.min_scalar_type(tokenizer.size - 1))
    metadata = {
        "tokenizer_sha256": tokenizer.sha256,
        "documents_sha256": documents.sha256,
        "vocabulary_size": str(tokenizer.size),
        "labels": json.dumps(documents.labels, ensure_ascii=False),
    }
    fields = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("label", _LABELS[documents.label_kind]),
        pa.field("ids", pa.large_list(pa.field("item", id_type, nullable=False)), nullable=False),
        pa.field("n_characters", pa.int64(), nullable=False),
        pa.field("n_bytes", pa.int64(), nullable=False),
        pa.field("n_words", pa.int64(), nullable=False),
    ]
    if documents.label_kind == "tags":
        # The first token of each word and its last, by their places in the document.
        fields += [pa.field(name, pa.list_(pa.int32()), nullable=False) for name in ("firsts", "lasts")]
    return pa.schema(fields, metadata=metadata)


def _columns(documents: DocumentsRef) -> list[str]:
    return [*_COLUMNS, "words"] if documents.label_kind == "tags" else _COLUMNS


def _encode(batch: pa.RecordBatch, tokenizer: TextTokenizer, documents: DocumentsRef, schema: pa.Schema) -> pa.Table:
    texts = batch["text"].to_pylist()
    places: list[pa.Array] = []
    if documents.label_kind == "tags":
        of_words = tokenizer.encode_words(texts, batch["words"].to_pylist())
        encoded = [one.ids for one in of_words]
        places = [
            pa.array([getattr(one, name) for one in of_words], schema.field(name).type) for name in ("firsts", "lasts")
        ]
    else:
        encoded = tokenizer.encode(texts)
    id_list = schema.field("ids").type
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    flat = np.fromiter(chain.from_iterable(encoded), id_list.value_type.to_pandas_dtype(), count=offsets[-1])
    columns = [
        batch["id"].cast(pa.string()),
        batch["split"].cast(pa.string()),
        _labels(batch, documents),
        pa.LargeListArray.from_arrays(offsets, flat, type=id_list),
        pc.utf8_length(batch["text"]).cast(pa.int64()),
        pc.binary_length(batch["text"]).cast(pa.int64()),
        pa.array([len(text.split()) for text in texts], pa.int64()),
        *places,
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _labels(batch: pa.RecordBatch, documents: DocumentsRef) -> pa.Array:
    """Return the labels as models take them: the index of the class, the number, or the indices of the tags."""
    labels = batch["label"].cast(pa.string())
    if documents.label_kind == "tags":
        lists = pc.split_pattern(labels, " ")
        indices = pc.index_in(lists.flatten(), pa.array(documents.labels, pa.string())).cast(pa.int16())
        if indices.null_count:
            raise DataError(
                "has tags that its reference does not know", where=str(documents.file), remedy=made_anew(documents.file)
            )
        return pa.ListArray.from_arrays(lists.offsets, indices, mask=lists.is_null()).cast(_LABELS["tags"])
    if documents.label_kind == "number":
        return labels.cast(pa.float64())
    indices = pc.index_in(labels, pa.array(documents.labels, pa.string()))
    strange = pc.and_(pc.is_valid(labels), pc.is_null(indices))
    if pc.any(strange).as_py():
        row = pc.index(strange, True).as_py()
        raise DataError(
            f"the label {labels[row].as_py()!r} is none of the classes {documents.labels}",
            where=f"{documents.file}: document {batch['id'][row].as_py()}: label",
            remedy=made_anew(documents.file),
        )
    return indices.cast(pa.int16())


def _texts(file: Path, split: str) -> Iterator[list[str]]:
    for batch in _batches(file, split, ["text", "split"]):
        yield batch["text"].to_pylist()


def _tables(shard: ShardRef) -> Iterator[pa.Table]:
    """Stream a shard as it was encoded, a batch at a time."""
    try:
        with pa.memory_map(str(checked(shard.file))) as source, pa.ipc.open_file(source) as reader:
            for number in range(reader.num_record_batches):
                yield pa.Table.from_batches([reader.get_batch(number)])
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"cannot be read: {error}", where=str(shard.file), remedy=made_anew(shard.file)) from error


def _batches(
    file: Path, split: str, columns: list[str], row_groups: Sequence[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """Stream the documents of one split, or those of them in some row groups; no batch is of two row groups."""
    wanted = _row_groups(file, split) if row_groups is None else row_groups
    try:
        with pq.ParquetFile(checked(file)) as parquet:
            for group in wanted:
                for batch in parquet.iter_batches(batch_size=_BATCH, row_groups=[group], columns=columns):
                    rows = batch.filter(pc.equal(batch["split"].cast(pa.string()), split))
                    if len(rows):
                        yield rows
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(file, error) from error


def _row_groups(file: Path, split: str) -> list[int]:
    try:
        with pq.ParquetFile(checked(file)) as parquet:
            return split_row_groups(parquet, split)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(file, error) from error

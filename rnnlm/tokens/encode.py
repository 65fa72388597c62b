"""The tokenize step: documents.parquet to tokens.parquet and tokenizer.json."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm import config
from rnnlm.errors import DataError
from rnnlm.refs import SPLITS, DocumentsRef, TokensRef
from rnnlm.store import file_sha256, whole_folder
from rnnlm.tokens.kinds import SPECIAL_TOKENS, train
from rnnlm.tokens.reader import split_row_groups, unreadable
from rnnlm.tokens.tokenizer import TextTokenizer

# Documents that are in memory as text at a time, and tokens that are written at a time.
_BATCH = 256
_ROW_GROUP_TOKENS = 2**22


def tokenize(documents: DocumentsRef, tokenizer: config.Tokenizer | Path, final: Path) -> TokensRef:
    """Encode all documents, with a tokenizer that is trained on the training split, or with one that is given.

    Writes `tokens.parquet` (id, split, label, ids, n_characters, n_bytes, n_words; train, valid, test) and
    `tokenizer.json`. Every document is `<bos> tokens <eos>`; of the kind whitespace it is `tokens <eos>`.

    WikiText's published counts hold an `<eos>` for empty lines too (2,088,628 tokens in WikiText-2's training split):
    ingest keeps those with `drop_empty` off.

    Args:
        documents: The documents of the ingest step.
        tokenizer: What to train, or the `tokenizer.json` to use.
        final: The folder that is written.

    Raises:
        ConfigError: If the vocabulary is too small for the kind of tokenizer.
        DataError: If there are no training documents, if nothing but special tokens was learnt, if the documents
            are not those of the reference, or if the given tokenizer cannot be read.
    """
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
    with whole_folder(final) as work:
        tokenizer_file = work / "tokenizer.json"
        if isinstance(tokenizer, Path):
            TextTokenizer.load(tokenizer)
            shutil.copyfile(tokenizer, tokenizer_file)
        else:
            train(tokenizer, _texts(documents.file, "train")).save(str(tokenizer_file))
        text_tokenizer = TextTokenizer.load(tokenizer_file)
        _check_vocabulary(text_tokenizer, documents.file)
        tokens, unknown = _write_tokens(documents, text_tokenizer, work / "tokens.parquet")
        # The file's metadata hold the tokenizer's digest, so this digest is of both.
        sha256 = file_sha256(work / "tokens.parquet")
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
    )


def _check_vocabulary(tokenizer: TextTokenizer, file: Path) -> None:
    if set(tokenizer.tokens) <= set(SPECIAL_TOKENS):
        raise DataError(
            "the vocabulary holds nothing but special tokens",
            where=str(file),
            remedy="The training documents have no text that this kind of tokenizer can use: look at them, "
            "or choose another tokenizer.kind.",
        )


def _write_tokens(
    documents: DocumentsRef, tokenizer: TextTokenizer, file: Path
) -> tuple[dict[str, int], dict[str, int]]:
    """Write the tokens of all splits; give the numbers of tokens and of unknown tokens of each."""
    schema = _schema(documents, tokenizer)
    tokens: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for split in SPLITS:
            pending: list[pa.Table] = []
            pending_tokens = 0
            for batch in _batches(documents.file, split, ["id", "text", "label", "split"]):
                table = _encode(batch, tokenizer, documents, schema)
                ids = table["ids"].chunk(0).values.to_numpy()
                pending.append(table)
                pending_tokens += len(ids)
                tokens[split] += len(ids)
                unknown[split] += int(np.count_nonzero(ids == tokenizer.unk))
                rows[split] += len(table)
                if pending_tokens >= _ROW_GROUP_TOKENS:
                    _write_row_group(writer, pending)
                    pending, pending_tokens = [], 0
            # No row group holds two splits, so that a split is read without the others.
            _write_row_group(writer, pending)
    found = {split: rows[split] for split in SPLITS}
    promised = {split: documents.documents.get(split, 0) for split in SPLITS}
    if found != promised:
        raise DataError(
            f"holds {found} documents, but its reference says {promised}",
            where=str(documents.file),
            remedy="Run ingest again.",
        )
    return {split: tokens[split] for split in SPLITS}, {split: unknown[split] for split in SPLITS}


def _write_row_group(writer: pq.ParquetWriter, tables: list[pa.Table]) -> None:
    if tables:
        table = pa.concat_tables(tables)
        writer.write_table(table, row_group_size=len(table))


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
        pa.field("label", pa.int16()),
        pa.field("ids", pa.large_list(pa.field("item", id_type, nullable=False)), nullable=False),
        pa.field("n_characters", pa.int64(), nullable=False),
        pa.field("n_bytes", pa.int64(), nullable=False),
        pa.field("n_words", pa.int64(), nullable=False),
    ]
    return pa.schema(fields, metadata=metadata)


def _encode(batch: pa.RecordBatch, tokenizer: TextTokenizer, documents: DocumentsRef, schema: pa.Schema) -> pa.Table:
    texts = batch["text"].to_pylist()
    encoded = tokenizer.encode(texts)
    id_list = schema.field("ids").type
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    flat = np.fromiter(chain.from_iterable(encoded), id_list.value_type.to_pandas_dtype(), count=offsets[-1])
    columns = [
        batch["id"].cast(pa.string()),
        batch["split"].cast(pa.string()),
        _label_indices(batch, documents),
        pa.LargeListArray.from_arrays(offsets, flat, type=id_list),
        pc.utf8_length(batch["text"]).cast(pa.int64()),
        pc.binary_length(batch["text"]).cast(pa.int64()),
        pa.array([len(text.split()) for text in texts], pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _label_indices(batch: pa.RecordBatch, documents: DocumentsRef) -> pa.Array:
    labels = batch["label"].cast(pa.string())
    indices = pc.index_in(labels, pa.array(documents.labels, pa.string()))
    strange = pc.and_(pc.is_valid(labels), pc.is_null(indices))
    if pc.any(strange).as_py():
        row = pc.index(strange, True).as_py()
        raise DataError(
            f"the label {labels[row].as_py()!r} is none of the classes {documents.labels}",
            where=f"{documents.file}: document {batch['id'][row].as_py()}: label",
            remedy="Run ingest again.",
        )
    return indices.cast(pa.int16())


def _texts(file: Path, split: str) -> Iterator[list[str]]:
    for batch in _batches(file, split, ["text", "split"]):
        yield batch["text"].to_pylist()


def _batches(file: Path, split: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Stream the documents of one split."""
    try:
        with pq.ParquetFile(file) as parquet:
            groups = split_row_groups(parquet, split)
            for batch in parquet.iter_batches(batch_size=_BATCH, row_groups=groups, columns=columns):
                rows = batch.filter(pc.equal(batch["split"].cast(pa.string()), split))
                if len(rows):
                    yield rows
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(file, error) from error

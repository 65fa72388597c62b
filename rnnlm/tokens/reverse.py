"""The same documents from their last token to their first, for models that read backwards."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.errors import ConfigError
from rnnlm.refs import TokensRef, token_files
from rnnlm.store import files_sha256, whole_folder
from rnnlm.tokens.reader import unreadable
from rnnlm.tokens.tokenizer import TextTokenizer


def reverse(tokens: TokensRef, final: Path) -> TokensRef:
    """Write documents with their tokens in reverse order; `<bos>` stays in front and `<eos>` behind.

    All that reads tokens reads these as it does others: documents, their order, labels and counts are the same.

    Args:
        tokens: The documents.
        final: The folder that is written.

    Raises:
        ConfigError: If they are running text, which is one stream without beginnings.
        DataError: If the file cannot be read.
    """
    if TextTokenizer.load(tokens.tokenizer).bos is None:
        raise ConfigError(
            "running text (tokenizer.kind whitespace) has no documents to read backwards",
            where="comparison.arms",
            remedy="Leave `backward` and `both` out, or choose another tokenizer.kind.",
        )
    with whole_folder(final) as work:
        shutil.copyfile(tokens.tokenizer, work / tokens.tokenizer.name)
        written = token_files(work, tokens.n_files)
        for file, new in zip(tokens.files, written, strict=True):
            _reverse_file(file, new)
        sha256 = files_sha256(written)
    return tokens.model_copy(update={"path": final, "sha256": sha256})


def _reverse_file(file: Path, new: Path) -> None:
    try:
        with pq.ParquetFile(checked(file), memory_map=True) as parquet:
            schema = parquet.schema_arrow
            schema = schema.with_metadata((schema.metadata or {}) | {b"direction": b"backward"})
            with pq.ParquetWriter(new, schema, compression="zstd") as writer:
                for group in range(parquet.num_row_groups):
                    table = _reversed(parquet.read_row_group(group), schema)
                    writer.write_table(table, row_group_size=max(1, len(table)))
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(file, error) from error


def _reversed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    ids = table["ids"].combine_chunks()
    offsets = ids.offsets.to_numpy()
    offsets = offsets - offsets[0]
    lengths, starts, ends = np.diff(offsets), offsets[:-1], offsets[1:]
    places = np.repeat(starts + ends - 1, lengths) - np.arange(offsets[-1])
    places[starts], places[ends - 1] = starts, ends - 1
    kind = schema.field("ids").type
    values = pa.array(ids.flatten().to_numpy()[places], kind.value_type)
    column = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values).cast(kind)
    table = table.set_column(table.schema.get_field_index("ids"), "ids", column)
    if "lasts" in table.column_names:
        # The token of a word that is read last is now its first one.
        firsts, lasts = (_turned(table[name].combine_chunks(), lengths) for name in ("lasts", "firsts"))
        table = table.set_column(table.schema.get_field_index("firsts"), "firsts", firsts)
        table = table.set_column(table.schema.get_field_index("lasts"), "lasts", lasts)
    return table.cast(schema)


def _turned(places: pa.ListArray, lengths: np.ndarray) -> pa.ListArray:
    """Return places among the tokens of documents as they are when the documents are turned round."""
    of_document = np.repeat(lengths, np.diff(places.offsets.to_numpy()))
    old = places.flatten().to_numpy()
    # Those of `<bos>` and `<eos>` stay.
    new = np.where((old == 0) | (old == of_document - 1), old, of_document - 1 - old)
    return pa.ListArray.from_arrays(
        pa.array(places.offsets.to_numpy() - places.offsets[0].as_py()), pa.array(new)
    ).cast(places.type)

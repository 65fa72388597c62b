"""The Arrow schema of `documents.parquet`."""

import json

import pyarrow as pa

from rnnlm.refs import LabelKind

COUNTS = b"rnnlm.documents"

DOCUMENTS = pa.schema(
    [
        # The place of the document: address, and the line or row in it. It is the same on every machine.
        pa.field("id", pa.string(), nullable=False),
        # The cleaned text.
        pa.field("text", pa.string(), nullable=False),
        # The class, or null for text without a label.
        pa.field("label", pa.string()),
        # Documents of one group are in one split. Null for a document without a group.
        pa.field("group", pa.string()),
        # train, valid or test. The file is in this order.
        pa.field("split", pa.string(), nullable=False),
        # BLAKE2b of the cleaned text in UTF-8: equal digests mean equal texts.
        pa.field("digest", pa.binary(16), nullable=False),
    ]
)

# The same with the words that the text is made of: the first character of each, and the one after its last. `label`
# then holds their tags, with spaces between them.
TAGGED = DOCUMENTS.append(pa.field("words", pa.list_(pa.list_(pa.int32(), 2)), nullable=False))


# What another model made of the document: a vector, of the same width for all. Null for a document without one.
VECTOR = pa.field("vector", pa.list_(pa.float32()))


def schema_of(label_kind: LabelKind, vectors: bool = False) -> pa.Schema:
    """Return the schema of documents whose labels are of a kind, with or without vectors."""
    schema = TAGGED if label_kind == "tags" else DOCUMENTS
    return schema.append(VECTOR) if vectors else schema


def with_counts(schema: pa.Schema, documents: dict[str, int]) -> pa.Schema:
    """Return a schema with the number of documents of each split in its metadata."""
    return schema.with_metadata({COUNTS: json.dumps(documents).encode()})

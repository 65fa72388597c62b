"""The Arrow schema of `documents.parquet`."""

import json

import pyarrow as pa

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


def with_counts(documents: dict[str, int]) -> pa.Schema:
    """Return the schema with the number of documents of each split in its metadata."""
    return DOCUMENTS.with_metadata({COUNTS: json.dumps(documents).encode()})

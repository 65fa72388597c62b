"""Checks that a source does not contain the target's test documents. Otherwise a comparison proves nothing."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.refs import DocumentsRef

# The digest of an empty text, which says nothing about where a document comes from.
EMPTY = hashlib.blake2b(b"", digest_size=16).digest()


def read_before(source: DocumentsRef, target: DocumentsRef) -> int:
    """Count the target's test documents whose cleaned text is also in the source's training or validation split.

    Args:
        source: The source's documents.
        target: The target's.
    """
    test = _digests(target, ["test"])
    same = pc.is_in(test, value_set=_digests(source, ["train", "valid"]))
    return int(pc.sum(pc.and_(same, pc.not_equal(test, EMPTY))).as_py() or 0)


def leak_sentence(seen: int, test: int) -> str:
    """Return a sentence about how many of the target's test documents the source model reads."""
    return (
        f"Not to be trusted: {seen:,} of the target's {test:,} test documents are in the source's text, too; leave "
        "them out with source.corpus.exclude."
    )


def _digests(documents: DocumentsRef, splits: list[str]) -> pa.Array:
    table = pq.read_table(checked(documents.file), columns=["digest", "split"])
    return table.filter(pc.is_in(table["split"], value_set=pa.array(splits)))["digest"].combine_chunks()

"""Reading text in all its formats, cleaning, splitting: `documents.parquet`."""

from rnnlm.corpus.addresses import fingerprint
from rnnlm.corpus.documents import ingest

__all__ = ["fingerprint", "ingest"]

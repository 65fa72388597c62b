"""Reading text in all its formats, cleaning, splitting: `documents.parquet`."""

from rnnlm.corpus.addresses import fingerprint
from rnnlm.corpus.classes import check_classes, class_counts
from rnnlm.corpus.documents import empty_split, ingest
from rnnlm.corpus.numbers import check_numbers, numbers_of
from rnnlm.corpus.overlap import leak_sentence, read_before
from rnnlm.corpus.passages import find_passages, passages_warning
from rnnlm.corpus.tags import check_tags, entity_counts

__all__ = [
    "check_classes",
    "check_numbers",
    "check_tags",
    "class_counts",
    "empty_split",
    "entity_counts",
    "find_passages",
    "fingerprint",
    "ingest",
    "leak_sentence",
    "numbers_of",
    "passages_warning",
    "read_before",
]

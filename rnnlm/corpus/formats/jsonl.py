"""JSON lines: one object a line."""

import json
from collections.abc import Iterator

from rnnlm.config import Corpus
from rnnlm.corpus.files import File
from rnnlm.corpus.formats.lines import numbered_lines
from rnnlm.corpus.formats.record import Record, record_of
from rnnlm.errors import DataError


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the objects of a file; empty lines are passed over."""
    for number, line in numbered_lines(file, corpus):
        if not line.strip():
            continue
        place = f"line {number}"
        where = f"{file.address}, {place}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"broken JSON: {error}.", where=where, remedy="One whole object a line.") from error
        if not isinstance(value, dict):
            raise DataError(f"no JSON object: {line:.50}", where=where, remedy='One object a line: {"text": "..."}.')
        yield record_of(corpus, value, file, place)

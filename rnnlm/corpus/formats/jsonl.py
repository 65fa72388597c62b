"""JSON lines: one object per line."""

import json
from collections.abc import Iterator

from rnnlm.corpus.files import File
from rnnlm.corpus.formats.lines import numbered_lines
from rnnlm.corpus.formats.record import Record, no_column, record_of, same_columns
from rnnlm.errors import DataError
from rnnlm.settings import Corpus

# Many writers leave out nulls. A text column is missing if none of this many first objects has it.
_OBJECTS = 1_000


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the objects of a file. Empty lines are skipped."""
    columns, unseen = corpus.columns, set(corpus.texts)
    first: tuple[list[str], str] = ([], "")
    objects = 0
    for number, value in json_rows(file, corpus):
        place = f"line {number}"
        found = {name: same[0] for name in columns if (same := same_columns(name, value))}
        if unseen:
            first = first if objects else (list(value), f"{file.address}, {place}")
            unseen -= found.keys()
            if objects == _OBJECTS:
                break
        objects += 1
        yield record_of(corpus, value, found, file, place)
    if objects and unseen:
        raise no_column(corpus, min(unseen, key=columns.index), *first)


def json_rows(file: File, corpus: Corpus) -> Iterator[tuple[int, dict[str, object]]]:
    """Read the number of each line and its object. Empty lines are skipped."""
    for number, line in numbered_lines(file, corpus):
        if line.strip():
            yield number, _object(line, f"{file.address}, line {number}")


def _object(line: str, where: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"broken JSON: {error}.", where=where, remedy="Write one complete object per line.") from error
    if not isinstance(value, dict):
        raise DataError(
            f"no JSON object: {line:.50}", where=where, remedy='Write one object per line: {"text": "..."}.'
        )
    return value

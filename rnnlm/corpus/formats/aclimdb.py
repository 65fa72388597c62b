"""The layout of the Large Movie Review Dataset: `train/pos/*.txt`, `test/neg/*.txt`, one review per file.

Classes may have any names. `unsup` contains reviews without a label.
"""

import re
from collections.abc import Iterator

from rnnlm.corpus.files import File
from rnnlm.corpus.formats.record import Record, refuse_columns
from rnnlm.corpus.formats.text import whole
from rnnlm.errors import DataError
from rnnlm.settings import Corpus

_PATH = re.compile(r"(?:^|/)(train|valid|test)/([^/]+)/[^/]+$")
_UNLABELLED = "unsup"


def belongs(path: str) -> bool:
    """Return whether a file, by its path in the data set's folder, is a review."""
    return path.count("/") == 2 and _PATH.search(path) is not None


def split_and_label(file: File) -> tuple[str, str]:
    """Return the split and the class that a file's folders name.

    Raises:
        DataError: If they name none.
    """
    match = _PATH.search(file.path)
    if match is None:
        remedy = "Give the folder that holds train/ and test/."
        raise DataError("is not in train/LABEL/, valid/LABEL/ or test/LABEL/.", where=file.address, remedy=remedy)
    return match[1], match[2]


def read(file: File, corpus: Corpus) -> Iterator[Record]:
    """Read the one review of a file; split and label are its folders."""
    refuse_columns(corpus, file)
    split, label = split_and_label(file)
    unlabelled = label == _UNLABELLED
    yield Record(whole(file, corpus), "", None if unlabelled else label, None, split, unlabelled)

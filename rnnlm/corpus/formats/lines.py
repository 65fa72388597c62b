"""Lines of a file as they stand there: parted by LF alone, read one at a time, checked to be UTF-8."""

from collections.abc import Iterator

from rnnlm.config import Corpus
from rnnlm.corpus.files import File
from rnnlm.corpus.formats.record import too_long
from rnnlm.errors import DataError


def numbered_lines(file: File, corpus: Corpus) -> Iterator[tuple[int, str]]:
    r"""Give the number (from 1) and the text of each line, its end included; no other character parts lines.

    Raises:
        DataError: If the file is not UTF-8 or damaged, or a line is longer than a document may be.
    """
    # Eight bytes for a character are enough, even written as \uXXXX in JSON.
    limit = 8 * corpus.max_characters
    with file.open() as binary:
        number = 0
        while raw := binary.readline(limit + 1):
            number += 1
            if len(raw) > limit:
                raise too_long(corpus, f"{file.address}, line {number}")
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                yield number, raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"not UTF-8: byte {error.start + 1} of the line is 0x{raw[error.start]:02x}.",
                    where=f"{file.address}, line {number}",
                    remedy="Convert the file, for example with `iconv -f LATIN1 -t UTF-8`.",
                ) from error

"""Lines of text from bytes, decoded one at a time. Lines end with LF, or with CR if a file has no LF."""

import codecs
import io
import itertools
import re
from collections.abc import Iterable, Iterator

from rnnlm.corpus.encoding import by_mark, excerpt, foreign, likely, mostly_utf8, wide
from rnnlm.corpus.files import File
from rnnlm.corpus.formats.record import too_long
from rnnlm.errors import DataError
from rnnlm.settings import Corpus

# Bytes that are read together. The first ones show the encoding and the line ends.
CHUNK = 1 << 16

_QUOTED = re.compile(r'"[^"]*(?:"|\Z)')


def numbered_lines(file: File, corpus: Corpus, *, quoted: bool = False) -> Iterator[tuple[int, str]]:
    """Return the number (from 1) and the text of each line, including its end.

    Lines end only with LF. In a file that has CR but no LF they end with CR, which becomes LF.

    Args:
        file: The file.
        corpus: Its encoding, and how long a document may be.
        quoted: Whether line ends between quotation marks are part of the text.

    Raises:
        DataError: If the file is not text in its encoding or damaged, or a line is longer than a document may be.
    """
    with file.open() as binary:
        chunks = iter(lambda: binary.read(CHUNK), b"")
        yield from decoded(chunks, corpus.encoding, file.address, corpus.max_characters, quoted=quoted)


def decoded(
    chunks: Iterable[bytes], encoding: str, where: str, max_characters: int, *, quoted: bool = False
) -> Iterator[tuple[int, str]]:
    """Return the lines of bytes, as `numbered_lines` does of a file.

    Args:
        chunks: The bytes. The first of them show the encoding, if it is `auto`, and the line ends.
        encoding: The encoding's name. auto: UTF-8, or what a byte order mark says.
        where: Where the bytes are from, for errors.
        max_characters: How long a document may be.
        quoted: Whether line ends between quotation marks are part of the text.

    Raises:
        DataError: If they are not text in this encoding. The error says what they probably are.
    """
    rest = iter(chunks)
    head = next(rest, b"")
    encoding = encoding_of(head, encoding, where)
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        head = head.removeprefix(codecs.BOM_UTF8)
    # Eight characters for one are enough, even if it is written as \\uXXXX in JSON.
    limit = 8 * max_characters
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines: io.IncrementalNewlineDecoder | None = None
    number, begun = 1, [""]
    # After the last bytes the decoder gets an empty input, which ends what it still waits for.
    for turn, chunk in enumerate(itertools.chain([head], rest, [b""])):
        final = turn > 0 and not chunk
        try:
            text = decoder.decode(chunk, final=final)
        except UnicodeDecodeError as error:
            raise _undecodable(error, encoding, f"{where}, line", number, "".join(begun)) from error
        except UnicodeError as error:
            # Some decoders name no byte, such as that of UTF-16 if the mark is missing.
            likeliest = next(iter(likely(head)), None)
            remedy = f"Set `encoding: {likeliest}`." if likeliest else "Set the right `encoding`."
            raise DataError(f"not {encoding}: {error}.", where=where, remedy=remedy) from error
        if turn == 0:
            text = text.removeprefix("\ufeff")
            plain = _QUOTED.sub("", text) if quoted else text
            if "\r" in plain and "\n" not in plain:
                newlines = io.IncrementalNewlineDecoder(None, translate=True)
        if newlines is not None:
            text = newlines.decode(text, final=final)
        *ended, last = text.split("\n")
        for part in ended:
            line = "".join([*begun, part, "\n"])
            if len(line) > limit:
                raise too_long(max_characters, f"{where}, line {number}")
            yield number, line
            number, begun = number + 1, []
        begun.append(last)
        if sum(map(len, begun)) > limit:
            raise too_long(max_characters, f"{where}, line {number}")
    if line := "".join(begun):
        yield number, line


def encoding_of(head: bytes, encoding: str, where: str) -> str:
    """Return the encoding of a file by its first bytes.

    Args:
        head: The bytes.
        encoding: The given encoding. auto: UTF-8, or what a byte order mark says.
        where: Where they are from, for errors.

    Raises:
        DataError: If they are not text, or UTF-16 without a mark.
    """
    if no_text := foreign(head):
        what, remedy = no_text
        raise DataError(f"this is {what}, but text is expected.", where=where, remedy=remedy)
    if encoding != "auto":
        return encoding
    if marked := by_mark(head):
        return marked
    if unmarked := wide(head):
        problem = f"not UTF-8: it looks like {unmarked.upper()} without a byte order mark."
        raise DataError(problem, where=where, remedy=f"Set `encoding: {unmarked}`.")
    return "utf-8"


def _undecodable(error: UnicodeDecodeError, encoding: str, where: str, number: int, begun: str) -> DataError:
    """Return an error that says which byte cannot be decoded, and what the text probably is.

    Args:
        error: The decoder's error.
        encoding: The encoding that does not fit.
        where: Where the bytes are from.
        number: The line in which the decoder's bytes begin.
        begun: The part of this line that was read before.
    """
    read = error.object[: error.start].decode(encoding, "ignore")
    ends = read.count("\n") or read.count("\r")
    begin = max(error.object.rfind(b"\n", 0, error.start), error.object.rfind(b"\r", 0, error.start)) + 1
    place = error.start - begin + 1 + (0 if ends else len(begun.encode(encoding, "ignore")))
    called = "UTF-8" if encoding == "utf-8" else encoding
    problem = f"not {called}: byte {place} of the line is 0x{error.object[error.start]:02x}"
    sample = error.object[begin:]
    own = codecs.lookup(encoding).name
    if own == "utf-8" and mostly_utf8(error.object):
        problem += ", where the text around it is UTF-8: these bytes are damaged."
        return DataError(problem, where=f"{where} {number + ends}", remedy="Write this line again.")
    found = [name for name in likely(sample) if codecs.lookup(name).name != own][:2]
    if not found:
        remedy = "Set the corpus's `encoding` if it is text; otherwise leave the file out."
        return DataError(f"{problem}.", where=f"{where} {number + ends}", remedy=remedy)
    # If two read it in the same way, the first is enough.
    texts = {excerpt(sample, name): name for name in reversed(found)}
    readings = " or ".join(f"{name} (“{text}”)" for text, name in reversed(texts.items()))
    remedy = f"Set `encoding: {found[0]}` if the text is readable with it."
    return DataError(f"{problem}; it is likely {readings}.", where=f"{where} {number + ends}", remedy=remedy)

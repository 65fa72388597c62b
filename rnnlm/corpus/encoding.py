"""What the bytes of a file are: text in some encoding, or something else."""

import codecs
import re

# Longer marks come first, because that of UTF-32 begins with that of UTF-16.
_MARKS = [
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]

# Candidates for a likely encoding. If two read a text in the same or almost the same way, the first is taken.
_CANDIDATES = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("gb18030", "big5", "cp932", "euc_jp", "cp949", "koi8_r", "koi8_u", "mac_roman"),
    *("iso8859_2", "iso8859_5", "iso8859_7", "iso8859_9", "iso8859_15", "cp437", "cp850", "cp866", "tis_620"),
]
# How much clearer a language must be in a text for another encoding to come before one of these.
_MARGIN = 0.025
# The number of bytes that are examined.
_SAMPLE = 1 << 16

_ZIP = "a zip archive"
_FOREIGN: list[tuple[bytes | tuple[bytes, ...], str, str]] = [
    (b"PK\x05\x06", f"{_ZIP} without files", "Give a file with text."),
    (b"\x1f\x8b", "compressed by gzip", "Give the file a name that ends in .gz."),
    (
        tuple(b"BZh%d1AY&SY" % level for level in range(1, 10)),
        "compressed by bzip2",
        "Give the file a name that ends in .bz2.",
    ),
    (b"\xfd7zXZ\x00", "compressed by xz", "Give the file a name that ends in .xz."),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "Give the file a name that ends in .zst."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it first."),
    (b"Rar!\x1a\x07", "a RAR archive", "Unpack it first."),
    (b"%PDF-", "a PDF", "Extract its text first, for example with `pdftotext`."),
    (b"{\\rtf", "a document in rich text format", "Save it as plain text (UTF-8)."),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Microsoft Office file (.xls, .doc)",
        "Save it as CSV or text (UTF-8).",
    ),
    (b"PAR1\x15", "a Parquet file", "Give the file a name that ends in .parquet, or `format: parquet`."),
    (b"ARROW1\x00", "an Arrow file", "Write it as Parquet."),
    (b"SQLite format 3\x00", "an SQLite database", "Export its table as CSV."),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file itself", "Run `git lfs pull`."),
    (b"\x89PNG\r\n", "a picture", "Give a file with text."),
    (b"\xff\xd8\xff", "a picture", "Give a file with text."),
    ((b"GIF87a", b"GIF89a"), "a picture", "Give a file with text."),
    (b"\x93NUMPY", "a NumPy array", "Write the texts as JSON lines or Parquet."),
    (b"\x89HDF\r\n", "an HDF5 file", "Write the texts as JSON lines or Parquet."),
    (b"\x7fELF", "a program", "Give a file with text."),
]

_ASCII = re.compile(rb"[\x00-\x7f]*")
# Characters that do not occur in text: control characters, and the replacement of unreadable bytes.
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufffd\ufffe\uffff]+")


def foreign(head: bytes) -> tuple[str, str] | None:
    """Return what a file is, if it is not text, and what to do about it. None if it may be text.

    Args:
        head: The file's first bytes.
    """
    if head.startswith(b"PK\x03\x04"):
        return _zip(head)
    return next(((what, remedy) for mark, what, remedy in _FOREIGN if head.startswith(mark)), None)


def _zip(head: bytes) -> tuple[str, str]:
    if b"xl/" in head or b"spreadsheet" in head:
        return "a workbook (.xlsx, .ods)", "Save the sheet with the texts as CSV (UTF-8)."
    if b"word/" in head or b"opendocument.text" in head:
        return "a word processor document (.docx, .odt)", "Save it as plain text (UTF-8)."
    if b"[Content_Types].xml" in head:
        return "an Office file (.xlsx, .docx, .pptx)", "Save it as CSV or plain text (UTF-8)."
    return _ZIP, "Give the file a name that ends in .zip, or name the file in it: zip://NAME::ARCHIVE."


def by_mark(head: bytes) -> str | None:
    """Return the encoding that a byte order mark at the start of a file names."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def wide(head: bytes) -> str | None:
    """Return the encoding of a file of UTF-16 without a mark: every second byte of most scripts is zero there."""
    pairs = len(head) // 2
    if pairs >= 4 and head[1::2].count(0) > 0.4 * pairs and head[::2].count(0) < 0.1 * pairs:
        return "utf-16-le"
    if pairs >= 4 and head[::2].count(0) > 0.4 * pairs and head[1::2].count(0) < 0.1 * pairs:
        return "utf-16-be"
    return None


def likely(sample: bytes) -> list[str]:
    """Return the likely encodings of bytes, the most likely first. Empty if they are probably not text."""
    if named := by_mark(sample) or wide(sample):
        return [named]
    if _decodes(sample[:_SAMPLE], "utf-8") or mostly_utf8(sample[:_SAMPLE]):
        return ["utf-8"]
    # Imported only where it is needed, because the import is slow.
    from charset_normalizer import from_bytes

    # The library leaves out candidates that Python can read but that it does not know.
    found = list(from_bytes(sample[:_SAMPLE], cp_isolation=_CANDIDATES))
    if not found:
        return []
    best = found[0]
    near = [one for one in found if one.chaos <= best.chaos + 0.01 and one.coherence >= best.coherence - _MARGIN]
    # One name represents all encodings that read the bytes in the same way.
    names = {name for one in near for name in (one.encoding, *one.could_be_from_charset)}
    first = [name for name in _CANDIDATES if name in names][:1]
    rest = [one.encoding for one in found if one not in near]
    return list(dict.fromkeys([*first, *(one.encoding for one in near), *rest]))


def mostly_utf8(content: bytes) -> bool:
    """Whether bytes that are not UTF-8 are text in UTF-8 of which a few bytes are damaged."""
    text = content.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    return sum(not character.isascii() for character in text) > 3 * damaged


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        # A character may be cut at the end.
        codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def excerpt(sample: bytes, encoding: str) -> str:
    """Return the first few words that are not ASCII, as an encoding reads them."""
    ascii_only = _ASCII.match(sample)
    start = ascii_only.end() if ascii_only else 0
    line = sample[sample.rfind(b"\n", 0, start) + 1 :].partition(b"\n")[0]
    start -= sample.rfind(b"\n", 0, start) + 1
    text = line[max(0, start - 20) : start + 40].decode(encoding, "ignore")
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def no_text(text: str) -> int:
    """Count the characters that do not occur in text: control characters and U+FFFD."""
    return sum(map(len, _NO_TEXT.findall(text)))

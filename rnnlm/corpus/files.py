"""One file, wherever it is: open and decompress it, and describe what goes wrong in plain words."""

import bz2
import errno
import gzip
import io
import lzma
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.tar import TarFileSystem

from rnnlm.corpus.junk import junk
from rnnlm.errors import ConfigError, DataError, RnnlmError, StoreError
from rnnlm.refs import Split


class EmptyFileError(DataError):
    """A file without a single byte."""


def _zstd(file: IO[bytes]) -> Any:
    # The reader of the bindings accepts a truncated file as complete, and stops after the first frame.
    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


def _only_member(file: IO[bytes]) -> tuple[IO[bytes], str]:
    """Return the one file of a zip archive, open, and its name. Files that systems leave in archives do not count."""
    archive = zipfile.ZipFile(file)
    names = [info.filename for info in archive.infolist() if not info.is_dir() and not junk(info.filename)]
    if len(names) != 1:
        some = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        problem = f"the archive contains {len(names)} files ({some})." if names else "the archive contains no file."
        remedy = f"Name the one to read: zip://{names[0]}::ARCHIVE, or several: zip://*.csv::ARCHIVE." if names else ""
        raise DataError(problem, remedy=remedy)
    return archive.open(names[0]), names[0]


_DECOMPRESSORS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _zstd,
    ".zip": lambda file: _only_member(file)[0],
}
COMPRESSIONS = tuple(_DECOMPRESSORS)

# The number of characters of a client's message that an error shows.
_SAID = 300
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "hf": "hf", "http": "http", "https": "http"}


# What the system says of a name that can be no file's.
_NO_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO, errno.EINVAL)


@dataclass(frozen=True)
class File:
    """One file of a corpus.

    Attributes:
        name: Its address below the folder that the corpus' local files share. It is the same on every machine.
        address: Its address on this machine, for people.
        path: Its path in its file system.
        fs: Its file system (fsspec).
        split: The split that it was given for. None if its documents are still to be split.
    """

    name: str
    address: str
    path: str
    fs: Any = field(repr=False, compare=False)
    split: Split | None = None

    @cached_property
    def ending(self) -> str:
        """The ending that shows the format, without that of the compression: `.csv` for `x.csv.gz`."""
        path = PurePosixPath(self._bare_path)
        ending = (path.with_suffix("") if self._compression else path).suffix.lower()
        if ending or self._compression != ".zip":
            return ending
        with trouble(self.address), self.fs.open(self.path, "rb") as raw:
            return PurePosixPath(_only_member(raw)[1]).suffix.lower()

    @property
    def _bare_path(self) -> str:
        # Only a web address has its protocol in the path, and a query after it.
        return self.path.partition("?")[0] if "://" in self.path else self.path

    @property
    def _compression(self) -> str | None:
        suffix = PurePosixPath(self._bare_path).suffix.lower()
        return suffix if suffix in COMPRESSIONS else None

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """Open the file for reading, decompressed by its ending.

        Raises:
            DataError: If it is missing, empty (EmptyFileError) or damaged, now or while the body reads.
            StoreError: If it cannot be reached.
        """
        with trouble(self.address), ExitStack() as stack:
            if isinstance(self.fs, LocalFileSystem) and not is_regular(self.path):
                raise DataError("is not a regular file, but a pipe, a socket or a device.", where=self.address)
            if isinstance(self.fs, TarFileSystem) and self.fs.tar.getmember(self.path).isdev():
                raise DataError("is a pipe or a device of an archive, not a file.", where=self.address)
            raw = stack.enter_context(self.fs.open(self.path, "rb"))
            compression = self._compression
            file = raw if compression is None else stack.enter_context(_DECOMPRESSORS[compression](raw))
            reader = io.BufferedReader(file, buffer_size=1 << 20)
            if not reader.peek(1):
                raise EmptyFileError("the file is empty.", where=self.address, remedy="Leave it out.")
            yield reader

    def head(self, size: int = 1 << 16) -> bytes:
        """Return the file's first bytes, decompressed. Empty if the file is. It raises the errors of `open`."""
        try:
            with self.open() as reader:
                return reader.read(size)
        except EmptyFileError:
            return b""

    @contextmanager
    def open_at_random(self) -> Iterator[IO[bytes]]:
        """Open the file for reading at any position. A compressed or remote file is unpacked to disk first."""
        with self.open() as reader:
            if isinstance(self.fs, LocalFileSystem) and self._compression is None:
                yield reader
                return
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(reader, copy, 1 << 20)
                copy.seek(0)
                yield copy


def is_regular(path: str) -> bool:
    """Return whether a local path is that of a regular file, or of nothing: to read from a pipe might never end."""
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):  # who opens it hears what is wrong
        return True


@contextmanager
def trouble(address: str) -> Iterator[None]:
    """Turn an error while the body finds or reads a file into an error for people."""
    try:
        yield
    except RnnlmError as error:
        if not error.where:
            raise type(error)(error.problem, where=address, remedy=error.remedy) from error
        raise
    except ImportError as error:
        protocol = address.partition("://")[0]
        extra = _EXTRAS.get(protocol)
        remedy = f"pip install 'rnnlm[{extra}]'" if extra else "Install the fsspec file system for it."
        raise ConfigError(f"{protocol}:// needs another package: {error}.", where=address, remedy=remedy) from error
    except FileNotFoundError as error:
        if cause := cause_of(error):
            raise _unreachable(cause, address) from error
        raise no_such_file(address) from error
    except (IsADirectoryError, PermissionError) as error:
        raise DataError(f"cannot be opened: {error.strerror or error}.", where=address) from error
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise _damaged(error, address) from error
    except OSError as error:
        # Decompressors raise their own OSError. An OSError of the system has a number.
        if error.errno is None and type(error) in (OSError, gzip.BadGzipFile):
            raise _damaged(error, address) from error
        if error.errno in _NO_NAMES:
            shown = address if len(address) <= _SAID else f"{address[:_SAID]}…"
            raise DataError(f"cannot be opened: {error.strerror}.", where=shown) from error
        raise _unreachable(error, address) from error
    except pa.ArrowException as error:
        raise _damaged(error, address) from error
    except Exception as error:
        if _raised_by(error, "zipfile"):
            # An archive with a password, or compressed in a way that Python does not know.
            raise DataError(f"cannot be unpacked: {error}.", where=address, remedy="Unpack it first.") from error
        if _is_ours(error):
            raise
        if isinstance(error, MemoryError):
            raise DataError("needs more memory than there is.", where=address, remedy="Make smaller files.") from error
        if "://" not in address:  # what is on this machine can be reached
            raise DataError(f"cannot be read: {_said_by(error)}.", where=address) from error
        # The clients of remote file systems raise errors of any kind, seldom an OSError.
        raise _unreachable(error, address) from error


def no_such_file(address: str) -> DataError:
    """Return the error for an address without a file."""
    if "://" in address or PurePosixPath(address).is_absolute():
        return DataError("there is no such file.", where=address, remedy="Check the address.")
    problem = f"there is no such file in {Path.cwd()}."
    return DataError(problem, where=address, remedy="Check the address, or run the command in the folder of the data.")


def cause_of(error: FileNotFoundError) -> Exception | None:
    """Return why a store did not answer, if a file system reports this as a missing file too.

    None if the store has answered and has no such file.
    """
    cause = error.__cause__
    if not isinstance(cause, Exception) or "NotFound" in type(cause).__name__:
        return None
    return None if isinstance(cause, (LookupError, ValueError, NotADirectoryError)) else cause


def public(link: str) -> str:
    """Return a link that may be written down: without password, query (which may contain a key) and pinned digest."""
    if "://" not in link:
        return link
    link = re.sub(r"://[^/@]*@", "://", link)
    if link.startswith(("http://", "https://")):
        return re.sub(r"[?#].*", "", link)
    return re.sub(r"#sha256=.*", "", link)


def _is_ours(error: Exception) -> bool:
    """Whether an error is a bug in a program and not an answer of a store, by its kind or because rnnlm raised it."""
    if isinstance(error, (TypeError, AttributeError, NameError, AssertionError)):
        return True
    return type(error).__module__ == "builtins" and _raised_by(error, "rnnlm")


def _raised_by(error: Exception, package: str) -> bool:
    """Whether an error was raised in the code of a package."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] == package


def _unreachable(error: Exception, address: str) -> StoreError:
    remedy = "Check the network and the address, and try again later."
    return StoreError(f"cannot be reached: {_said_by(error)}.", where=address, remedy=remedy)


def _said_by(error: Exception) -> str:
    # Clients write pages, and addresses with their keys.
    said = " ".join(re.sub(r"\w+://\S+", lambda link: public(link[0]), str(error)).split()) or type(error).__name__
    return (said if len(said) <= _SAID else f"{said[:_SAID]}…").rstrip(".")


def _damaged(error: Exception, address: str) -> DataError:
    problem = f"damaged, cut short, or not what its name says ({type(error).__name__}: {error})."
    return DataError(problem, where=address, remedy="Download or create it again.")

"""One file, wherever it lies: opened, decompressed, and its troubles told in plain words."""

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from rnnlm.errors import ConfigError, DataError, RnnlmError, StoreError
from rnnlm.refs import Split


def _zstd(file: IO[bytes]) -> Any:
    # The bindings' own reader takes a file that was cut short for a whole one, and stops after the first frame.
    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


_DECOMPRESSORS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _zstd,
}
COMPRESSIONS = tuple(_DECOMPRESSORS)

# What the clients of remote file systems raise is seldom an OSError.
_CLIENTS = {"aiohttp", "aiobotocore", "botocore", "gcsfs", "google", "httpx", "huggingface_hub", "requests", "s3fs"}
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "hf": "hf", "http": "http", "https": "http"}


@dataclass(frozen=True)
class File:
    """One file of a corpus.

    Attributes:
        name: Its address, the same on every machine: below the folder that the corpus's local files share.
        address: Its address here, for people.
        path: Its path in its file system.
        fs: Its file system (fsspec).
        split: The split that it was given for; none if its documents are still to be split.
    """

    name: str
    address: str
    path: str
    fs: Any = field(repr=False, compare=False)
    split: Split | None = None

    @property
    def ending(self) -> str:
        """The ending that tells the format, without that of the compression: `.csv` for `x.csv.gz`."""
        path = PurePosixPath(self._bare_path)
        return (path.with_suffix("") if self._compression else path).suffix.lower()

    @property
    def _bare_path(self) -> str:
        # Only a web address carries its protocol in the path, and a query behind it.
        return self.path.partition("?")[0] if "://" in self.path else self.path

    @property
    def _compression(self) -> str | None:
        suffix = PurePosixPath(self._bare_path).suffix.lower()
        return suffix if suffix in COMPRESSIONS else None

    @contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """Open the file for reading, decompressed by its ending.

        Raises:
            DataError: If it is missing, empty or damaged, here or while the body reads.
            StoreError: If it cannot be reached.
        """
        with trouble(self.address), ExitStack() as stack:
            raw = stack.enter_context(self.fs.open(self.path, "rb"))
            compression = self._compression
            file = raw if compression is None else stack.enter_context(_DECOMPRESSORS[compression](raw))
            reader = io.BufferedReader(file, buffer_size=1 << 20)
            if not reader.peek(1):
                raise DataError("the file is empty.", where=self.address, remedy="Leave it out, or mend it.")
            yield reader

    @contextmanager
    def open_at_random(self) -> Iterator[IO[bytes]]:
        """Open the file for reading at any position; what is compressed or remote is unpacked to disk first."""
        with self.open() as reader:
            if isinstance(self.fs, LocalFileSystem) and self._compression is None:
                yield reader
                return
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(reader, copy, 1 << 20)
                copy.seek(0)
                yield copy


@contextmanager
def trouble(address: str) -> Iterator[None]:
    """Turn what goes wrong while the body finds or reads a file into an error that says so."""
    try:
        yield
    except RnnlmError:
        raise
    except ImportError as error:
        protocol = address.partition("://")[0]
        extra = _EXTRAS.get(protocol)
        remedy = f"pip install 'rnnlm[{extra}]'" if extra else "Install the fsspec file system for it."
        raise ConfigError(f"{protocol}:// needs another package: {error}.", where=address, remedy=remedy) from error
    except FileNotFoundError as error:
        raise DataError("there is no such file.", where=address, remedy="Check the address.") from error
    except (IsADirectoryError, PermissionError) as error:
        raise DataError(f"cannot be opened: {error.strerror or error}.", where=address) from error
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, pa.ArrowInvalid) as error:
        raise _damaged(error, address) from error
    except OSError as error:
        # Decompressors raise an OSError of their own making; one of the system's has a number.
        if error.errno is None and type(error).__module__ in ("builtins", "gzip"):
            raise _damaged(error, address) from error
        raise StoreError(f"cannot be reached: {error}.", where=address, remedy="Try again later.") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _CLIENTS:
            raise
        raise StoreError(f"cannot be reached: {error}.", where=address, remedy="Try again later.") from error


def _damaged(error: Exception, address: str) -> DataError:
    problem = f"damaged, cut short, or not what its name says ({type(error).__name__}: {error})."
    return DataError(problem, where=address, remedy="Fetch it or make it anew.")

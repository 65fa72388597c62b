"""From the addresses in an experiment to the files that they name, and to a digest of the content."""

import hashlib
import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.tar import TarFileSystem
from fsspec.utils import glob_translate

from rnnlm.corpus import package
from rnnlm.corpus.files import File, cause_of, is_regular, no_such_file, public, trouble
from rnnlm.corpus.formats import belongs
from rnnlm.corpus.junk import junk
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import Split
from rnnlm.settings import Corpus
from rnnlm.settings.base import unwritable
from rnnlm.settings.corpus import MASK
from rnnlm.store import file_sha256

# What fsspec lists beside them: parts of other file systems, and what needs more than an address.
_NO_FILES = ("reference", "generic", "dir", "jlab", "asyncwrapper", "dbfs")
_MAGIC = re.compile(r"[*?\[{]")


class Found(NamedTuple):
    """The files that addresses name, and the number of skipped files by what left them behind."""

    files: list[File]
    junk: Counter[str]


def resolve(corpus: Corpus, *, downloads: Path) -> list[File]:
    """Return the files of a corpus; see `find`."""
    return find(corpus, downloads=downloads).files


def find(corpus: Corpus, *, downloads: Path) -> Found:
    """Find the files of a corpus: in the order of the addresses, those of one address sorted.

    Files of `exclude` are not among them (see `resolve_excluded`). In folders and globs, files that systems and
    programs leave behind (`.DS_Store`, `a~.txt`) are skipped.

    Args:
        corpus: The corpus. Only its addresses and its format are used.
        downloads: Folder that keeps archives of the package index.

    Raises:
        ConfigError: If an address cannot be understood, or its file system is not installed.
        DataError: If there is no file at an address.
        StoreError: If a store does not answer.
    """
    return _files(_addresses(corpus), corpus.format, downloads)


def resolve_excluded(corpus: Corpus, *, downloads: Path) -> list[File]:
    """Return the files whose documents must not be in a corpus. It raises the errors of `resolve`."""
    return _files([(None, address) for address in corpus.exclude], corpus.format, downloads).files


def _files(addresses: list[tuple[Split | None, str]], format_name: str, downloads: Path) -> Found:
    found = [_match(address, split, format_name, downloads) for split, address in addresses]
    matches = [match for some, _ in found for match in some]
    roots = [match.root for match in matches if match.root is not None]
    shared = os.path.commonpath(roots) if roots else ""
    # Addresses may overlap, such as `*.txt` and `a.txt`. A file is read only once for a split.
    once = {(match.address, match.split): match for match in matches}.values()
    files = [File(match.name(shared), match.address, match.path, match.fs, match.split) for match in once]
    for file in files:
        if shown := unwritable(file.address):
            raise DataError("the name of the file is not UTF-8.", where=shown, remedy="Rename it.")
    return Found(files, Counter(kind for _, kinds in found for kind in kinds))


def fingerprint(corpus: Corpus, *, downloads: Path) -> str:
    """Return a digest of the present content of the addresses: it changes when a file's content does.

    Nothing is parsed and no package is fetched. Local files are hashed, a package is identified by its pinned digest,
    and a remote file by what its store says about it (size, time, checksum).

    Raises:
        ConfigError: If an address cannot be understood, or its file system is not installed.
        DataError: If there is no file at an address.
        StoreError: If a store does not answer.
    """
    content = []
    excluded = [("exclude", address) for address in corpus.exclude]
    for split, address in [*_addresses(corpus), *excluded]:
        archive = _links(address)[-1]
        if archive.startswith(package.PROTOCOL):
            content.append([split, public(address), package.pinned_sha256(archive)])
            continue
        chained = archive != address
        for match in _match(archive if chained else address, None, corpus.format, downloads)[0]:
            with trouble(match.address):
                local = isinstance(match.fs, LocalFileSystem)
                digest = file_sha256(Path(match.path)) if local else str(match.fs.checksum(match.path))
            name = match.name(match.root or "")
            content.append([split, "::".join([*address.split("::")[:-1], name]), digest])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class _Match:
    """A file that an address names. `root` is the local folder from which the address starts."""

    links: tuple[str, ...]
    base: str
    path: str
    root: str | None
    split: Split | None
    fs: Any

    @property
    def address(self) -> str:
        return "::".join([*self.links, self.base])

    def name(self, shared: str) -> str:
        base = self.base if self.root is None else os.path.relpath(self.base, shared or None)
        return "::".join([*self.links, base])


def _addresses(corpus: Corpus) -> list[tuple[Split | None, str]]:
    given: list[tuple[Split | None, list[str]]] = [
        (None, corpus.files),
        ("train", corpus.train),
        ("valid", corpus.valid),
        ("test", corpus.test),
    ]
    return [(split, address) for split, addresses in given for address in addresses]


def _links(address: str) -> list[str]:
    """Return the parts of a chained address, the innermost first. A local name may contain two colons."""
    links = address.split("::")
    chained = "://" in address or links[0] in fsspec.available_protocols()
    return links if chained and not Path(address).exists() else [address]


def _match(address: str, split: Split | None, format_name: str, downloads: Path) -> tuple[list[_Match], list[str]]:
    """Return the files that an address names, and what left the skipped files behind."""
    if not address.strip():
        raise ConfigError("an address is empty", where="files", remedy="Name a file, a folder or a glob.")
    links = _links(address)
    if "://" in address and MASK in address:
        remedy = "Put it in again: what rnnlm writes into reports and records has none."
        raise ConfigError(f"has {MASK} in place of a password or a key", where=address, remedy=remedy)
    local_links = [str(package.fetch(link, downloads)) if link.startswith(package.PROTOCOL) else link for link in links]
    shown = [public(link) for link in links]
    with trouble("::".join(shown)):
        fs, path = _file_system(local_links, "::".join(shown))
        paths, root, left = _expand(fs, path, format_name, "::".join(shown))
    if isinstance(fs, TarFileSystem):
        # A compressed archive is read forwards. In any other order, each file would unpack all files before it again.
        paths.sort(key=lambda member: fs.index[member][1])
    if len(links) == 1:
        if links[0].startswith(package.PROTOCOL):
            return [_Match((), shown[0], path, None, split, fs) for path in paths], left
        if isinstance(fs, LocalFileSystem):
            return [_Match((), path, path, root, split, fs) for path in paths], left
        return [_Match((), public(fs.unstrip_protocol(path)), path, None, split, fs) for path in paths], left
    protocol = links[0].partition("://")[0]
    base, base_root = _base(local_links[-1]) if links[-1] == local_links[-1] else (shown[-1], None)
    return [_Match((f"{protocol}://{path}", *shown[1:-1]), base, path, base_root, split, fs) for path in paths], left


def _file_system(links: list[str], shown: str) -> tuple[Any, str]:
    """Return the file system of a chain of links, and the path in it."""
    if len(links) == 1 and "::" in links[0]:  # a local name
        fs = LocalFileSystem()
        return fs, fs._strip_protocol(links[0])
    # fsspec knows .tar.gz, but not the short name .tgz.
    short = links[0].startswith("tar://") and "".join(links[1:2]).endswith(".tgz")
    options = {"tar": {"compression": "gzip"}} if short else {}
    try:
        if links[0].partition("://")[0] in _NO_FILES:
            raise ValueError("it is no place of files by itself")
        for link in links:
            if link.startswith(("http://", "https://")):
                _ = urlsplit(link).port  # of an address that is none
        fs, path = fsspec.core.url_to_fs("::".join(links), **options)
    except ValueError as error:
        raise ConfigError(f"cannot be used as an address: {error}.", where=shown) from error
    return fs, path


def _base(link: str) -> tuple[str, str | None]:
    """Return the address of the outermost archive and, if it is local, its folder."""
    fs, path = fsspec.core.url_to_fs(link)
    return (path, str(Path(path).parent)) if isinstance(fs, LocalFileSystem) else (public(link), None)


class _Paths(NamedTuple):
    """Return the files at a path, sorted, the folder from which it starts, and what left the skipped files behind."""

    files: list[str]
    root: str
    left: list[str]


def _expand(fs: Any, path: str, format_name: str, address: str) -> _Paths:
    # Only a web address has its protocol in the path, and its question mark is not a wildcard.
    glob = _MAGIC.search(path.partition("?")[0] if "://" in path else path) is not None
    kind = _kind(fs, path, glob)
    if kind == "file":
        return _Paths([path], str(PurePosixPath(path).parent), [])
    if kind == "directory":
        root = path.rstrip("/")
        there = fs.find(path)
        nothing = f"the folder has no file of the format {format_name}."
        remedy = "Use a glob, or set `format`: auto takes the file endings that it knows."
    elif glob:
        root, there = _glob(fs, path)
        nothing = f"no file in {root} matches." if isinstance(fs, LocalFileSystem) else "no file matches."
        remedy = "Check the address; ** matches folders at any depth."
    else:
        raise no_such_file(address)
    below = len(root) + 1 if root else 0
    left = {file: by for file in there if (by := junk(file[below:]))}
    if isinstance(fs, LocalFileSystem):
        left |= {file: "no file" for file in there if not is_regular(file)}
    files = sorted(file for file in there if file not in left)
    if kind == "directory":
        files = [file for file in files if belongs(file[below:], format_name)]
    if not files:
        raise DataError(nothing, where=address, remedy=remedy)
    return _Paths(files, root, list(left.values()))


def _kind(fs: Any, path: str, glob: bool) -> str | None:
    """Return whether a path is a file or a directory. None if it is neither.

    `isfile` is not used, because it also returns False if a store does not answer.
    """
    try:
        return str(fs.info(path)["type"])
    except FileNotFoundError as error:
        if cause_of(error) or not (glob or isinstance(fs, LocalFileSystem)):
            raise
        return None
    except (ValueError, NotADirectoryError):
        if not glob:
            raise
        return None


def _glob(fs: Any, path: str) -> tuple[str, list[str]]:
    """Return the files that match, and the folder in which the pattern begins.

    A folder whose name looks like a pattern is taken literally, if it exists.
    """
    start = _MAGIC.split(path)[0].rpartition("/")[0]
    root = start
    if isinstance(fs, LocalFileSystem):
        while fs.isdir(further := "/".join([root, *path[len(root) + 1 :].split("/")[:1]])):
            root = further
    if root == start:
        matches = fs.glob(path, detail=True)
        return root, [file for file, info in matches.items() if info["type"] != "directory"]
    pattern = re.compile(glob_translate(path[len(root) + 1 :]))
    return root, [file for file in fs.find(root) if pattern.match(file[len(root) + 1 :])]

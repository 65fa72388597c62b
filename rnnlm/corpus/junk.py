"""Files that systems and programs leave in folders and archives, and that are not meant as text."""

from pathlib import PurePosixPath

_FOLDERS = {
    "__macosx": "macOS",
    ".appledouble": "macOS",
    ".spotlight-v100": "macOS",
    ".trashes": "macOS",
    "$recycle.bin": "Windows",
    ".ipynb_checkpoints": "Jupyter",
    ".git": "version control",
    ".hg": "version control",
    ".svn": "version control",
    "__pycache__": "Python",
}
_NAMES = {".ds_store": "macOS", "thumbs.db": "Windows", "desktop.ini": "Windows"}
_BEGINNINGS = {"._": "macOS", ".~lock.": "office lock", "~$": "office lock", ".#": "editor backup"}
_ENDINGS = {
    "~": "editor backup",
    ".swp": "editor backup",
    ".swo": "editor backup",
    ".bak": "editor backup",
    ".orig": "editor backup",
}


def junk(path: str) -> str | None:
    """Return what has left a file behind, by its path below the folder. None if it may be data."""
    *folders, name = PurePosixPath(path.lower()).parts or ("",)
    if left_by := next((_FOLDERS[folder] for folder in folders if folder in _FOLDERS), _NAMES.get(name)):
        return left_by
    if left_by := next((kind for mark, kind in _BEGINNINGS.items() if name.startswith(mark)), None):
        return left_by
    # Some editors write their mark before the ending: `a~.txt`.
    names = (name, PurePosixPath(name).stem)
    return next((kind for mark, kind in _ENDINGS.items() if any(one.endswith(mark) for one in names)), None)

"""The user name and password of the servers that this workplace starts."""

import contextlib
import os
from pathlib import Path

from rnnlm.store import home

VARIABLE = "RNNLM_LOGIN"
FILE = "login"
USER = "rnnlm"


def login() -> str:
    """Return `USER:PASSWORD`, as Prefect's PREFECT_API_AUTH_STRING takes it.

    It is the value of $RNNLM_LOGIN. Without that variable it is the content of `login` in the workplace, which only the
    owner can read; the first call writes the file, with a random password.
    """
    if given := os.environ.get(VARIABLE):
        return given
    file = home() / FILE
    with contextlib.suppress(FileNotFoundError):
        return file.read_text(encoding="ascii").strip()
    # Imported here: they take longer than most commands, and are needed once in a workplace.
    import secrets

    from rnnlm.process import alone

    # Two runs may begin in a new workplace at once: both must use the same password.
    with alone(FILE, waiting=lambda: None):
        if not file.exists():
            _write(file, f"{USER}:{secrets.token_hex(32)}")
        return file.read_text(encoding="ascii").strip()


def _write(file: Path, content: str) -> None:
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    # The mode counts from the first moment on, whatever the umask allows.
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as opened:
        opened.write(content + "\n")
    new.replace(file)

"""What a request to a served model may ask for, and how many requests are answered at once.

A server answers whoever can reach it, and a request takes memory and time. A model that a Python program has loaded has
no limits: its texts are the program's own.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence

from pydantic import Field, ValidationError

from rnnlm.errors import ConfigError, RnnlmError
from rnnlm.inference.settings import Completing, Correcting
from rnnlm.inference.texts import words_of
from rnnlm.settings import Settings

PREFIX = "RNNLM_SERVE_"


class TooLargeError(RnnlmError):
    """A request that asks for more than the server allows."""


class BusyError(RnnlmError):
    """A server that has too much to do. The same request may be answered later."""


class Limits(Settings):
    """The limits of a server. Each has a variable of its own, such as RNNLM_SERVE_TEXTS."""

    texts: int = Field(10_000, ge=1, description="Texts of a request.")
    characters: int = Field(1_000_000, ge=1, description="Characters of all texts and words of a request.")
    tokens: int = Field(
        100_000, ge=1, description="Tokens that completions may write: texts x max_tokens x the larger of n and beams."
    )
    words: int = Field(1_000, ge=1, description="Words of the texts that `correct` looks at.")
    at_once: int = Field(4, ge=1, description="Requests that are answered at the same time.")
    wait: float = Field(20.0, ge=0.0, le=86_400.0, description="Seconds that others wait for their turn.")

    @classmethod
    def from_environment(cls) -> "Limits":
        """Read the limits. An empty variable counts as none.

        Raises:
            ConfigError: If a variable has a wrong value.
        """
        named = {name: os.environ.get(PREFIX + name.upper()) for name in cls.model_fields}
        given = {name: value for name, value in named.items() if value}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            variable = PREFIX + str(first["loc"][0]).upper()
            raise ConfigError(f"is {first['input']!r}: {first['msg']}", where=variable) from error

    def check(self, texts: Sequence[str], how: Settings) -> None:
        """Look at a request before anything is done for it.

        Args:
            texts: Its texts.
            how: The parameters of its task.

        Raises:
            TooLargeError: If it asks for too much. The error says of what, and what is allowed.
        """
        lexicon = how.words if isinstance(how, Correcting) else []
        asked = {"texts": len(texts), "characters": sum(map(len, texts)) + sum(map(len, lexicon))}
        if isinstance(how, Completing):
            asked["tokens"] = len(texts) * how.max_tokens * max(how.n, 1 if how.temperature else how.beams)
        if isinstance(how, Correcting):
            # Each may have a hundred candidates, and each candidate is read with thirty words on both sides.
            asked["words"] = sum(len(words_of(text)) for text in texts)
        for name, count in asked.items():
            allowed = getattr(self, name)
            if count > allowed:
                raise TooLargeError(
                    f"the request asks for {count:,} {name}, and this server allows {allowed:,}",
                    remedy=f"Send several smaller requests, or set {PREFIX}{name.upper()} where the server is started.",
                )


class Gate:
    """Lets a number of requests through at the same time. The others wait for a while.

    Args:
        limits: How many, and how long.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places = threading.BoundedSemaphore(limits.at_once)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place, and have it inside the context.

        Raises:
            BusyError: If there is none in time.
        """
        if not self._places.acquire(timeout=self._limits.wait):
            raise BusyError(
                f"{self._limits.at_once} other requests have kept the server busy for {self._limits.wait:g} seconds",
                remedy="Send the request again later.",
            )
        try:
            yield
        finally:
            self._places.release()

"""What records a run: its settings, its curves, its scores and its files, and the same of each of its parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from rnnlm.refs import DocumentsRef, TokensRef

Texts = Mapping[str, DocumentsRef | TokensRef]


class Tracker(Protocol):
    """A run that is recorded: a whole one, or a part of it, as a training is.

    It is handed to other processes, so it can be pickled.
    """

    @property
    def run_id(self) -> str:
        """What identifies the run: 32 hexadecimal digits."""
        ...

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record settings; a nested mapping becomes `model.hidden`."""
        ...

    def log_texts(self, texts: Texts) -> None:
        """Record which texts the run reads, by name (`target tokens`)."""
        ...

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Record scores."""
        ...

    def log_curve(self, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Record metrics at several steps of a training."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set what the run can be found by."""
        ...

    def log_folder(self, folder: Path, name: str) -> None:
        """Keep a copy of all files of a folder under a name."""
        ...

    def child(
        self, name: str, params: Mapping[str, object], tags: Mapping[str, str], texts: Texts
    ) -> AbstractContextManager["Tracker"]:
        """Record a part of the run; it ends as the body ends.

        Args:
            name: Name of the part, the same for every attempt.
            params: Its settings.
            tags: What else to find it by.
            texts: What it reads, by name.
        """
        ...

    def find(self, run_id: str, name: str, record: Callable[["Tracker"], None]) -> tuple[str, bool]:
        """Find the record of a part that came from the cache, or record below this run what is known of it.

        Args:
            run_id: What identified the part when it was computed, perhaps for another tracker.
            name: Name of the part.
            record: Writes what is known of it.

        Returns:
            What identifies the part now, and whether it was recorded just now.
        """
        ...


@dataclass(frozen=True)
class Null:
    """Records nothing; a later run with another tracker records what it takes from the cache."""

    run_id: str = field(default_factory=lambda: uuid4().hex)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record nothing."""

    def log_texts(self, texts: Texts) -> None:
        """Record nothing."""

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Record nothing."""

    def log_curve(self, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Record nothing."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record nothing."""

    def log_folder(self, folder: Path, name: str) -> None:
        """Record nothing."""

    @contextmanager
    def child(
        self,
        name: str,  # noqa: ARG002
        params: Mapping[str, object],  # noqa: ARG002
        tags: Mapping[str, str],  # noqa: ARG002
        texts: Texts,  # noqa: ARG002
    ) -> Iterator[Tracker]:
        """Record nothing."""
        yield Null()

    def find(
        self,
        run_id: str,
        name: str,  # noqa: ARG002
        record: Callable[[Tracker], None],  # noqa: ARG002
    ) -> tuple[str, bool]:
        """Leave what another tracker has recorded as it is."""
        return run_id, False

"""A run in a file of JSON lines: for those who read records with a program of their own."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from rnnlm.settings import flat
from rnnlm.tracking.tracker import Texts, Tracker


@dataclass(frozen=True)
class JsonLines:
    """Appends a line for each thing that is recorded: `{"run": …, "time": …, "params": {…}}`.

    A part of a run begins with a line that has its `name`, and the run that it is a part of as `parent`; it ends with a
    `status`. Several processes may write to one file.

    Attributes:
        file: The file; it is made if it is not there.
        run_id: What identifies the run.
    """

    file: Path
    run_id: str = field(default_factory=lambda: uuid4().hex)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record settings; a nested mapping becomes `model.hidden`."""
        self._write(params=flat(params))

    def log_texts(self, texts: Texts) -> None:
        """Record which texts the run reads, with their digests."""
        self._write(texts={name: {"sha256": ref.sha256, "file": str(ref.file)} for name, ref in texts.items()})

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Record scores."""
        self._write(metrics=_finite(metrics))

    def log_curve(self, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Record metrics at several steps, a line for each."""
        for step, metrics in points:
            self._write(step=step, metrics=_finite(metrics))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record what the run can be found by."""
        self._write(tags=dict(tags))

    def log_folder(self, folder: Path, name: str) -> None:
        """Record where a folder is; nothing is copied."""
        self._write(folder={name: str(folder)})

    @contextmanager
    def child(
        self, name: str, params: Mapping[str, object], tags: Mapping[str, str], texts: Texts
    ) -> Iterator["JsonLines"]:
        """Record a part of the run."""
        part = JsonLines(self.file)
        part._write(name=name, parent=self.run_id, params=flat(params), tags=dict(tags))
        part.log_texts(texts)
        try:
            yield part
        except BaseException as error:
            part._write(status="FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        part._write(status="FINISHED")

    def find(self, run_id: str, name: str, record: Callable[[Tracker], None]) -> tuple[str, bool]:
        """Record what is known of a part that came from the cache, under the id that it had when it was computed."""
        part = JsonLines(self.file, run_id)
        part._write(name=name, parent=self.run_id, cached=True)
        record(part)
        part._write(status="FINISHED")
        return run_id, False

    def _write(self, **content: Any) -> None:
        line = json.dumps(
            {"run": self.run_id, "time": round(time.time(), 3)} | content, ensure_ascii=False, default=str
        )
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # One write in append mode: lines of several processes do not mix.
        file = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Return metrics as JSON has them: it knows no number that is not finite."""
    return {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}

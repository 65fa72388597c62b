"""Token ids in flat files, memory-mapped: those of several files are indexed as one array."""

import mmap
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnlm.errors import DataError
from rnnlm.tokens.text import Ids, Tokens

# Files that are mapped at a time, of however many. Neighbours of a text are in two at most.
OPEN_AT_ONCE = 2
# Places that are looked up at a time: 40 bytes each or so, 200 MB.
_AT_ONCE = 5_000_000


@dataclass(frozen=True)
class FlatFile:
    """A file of token ids, one after the other, and nothing else. It is a copy that can be made again.

    Attributes:
        path: The file; its folder holds nothing but the copy.
        dtype: The type of the ids.
        n_tokens: Their number. If 0, there need not be a file.
    """

    path: Path
    dtype: np.dtype[Any]
    n_tokens: int

    def map(self) -> Tokens:
        """Map the file, and return its ids, (tokens,). It is open until the last array over it is gone.

        Raises:
            DataError: If the file is gone, or has another size.
        """
        if self.n_tokens == 0:
            return np.zeros(0, self.dtype)  # an empty file cannot be mapped
        expected = self.n_tokens * self.dtype.itemsize
        try:
            # np.memmap takes twice as long, and one batch may map every file of a text anew.
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size == expected:
                    return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), self.dtype)
        except FileNotFoundError as error:
            raise damaged(self.path, "is not there") from error
        raise damaged(self.path, f"has {size:,} bytes; its {self.n_tokens:,} ids need {expected:,}")


def damaged(file: Path, problem: str) -> DataError:
    """Return the error for a file of a copy that cannot be used."""
    remedy = f"Delete the folder {file.parent} and run the same command again: it makes the copy anew."
    return DataError(problem, where=str(file), remedy=remedy)


def mapped_ids(files: Sequence[FlatFile]) -> Ids:
    """Return the ids of all files, in their order, as what can be indexed like one array.

    Args:
        files: One file or more.

    Raises:
        DataError: If one is gone, or has another size.
    """
    filled = [file for file in files if file.n_tokens] or files[:1]
    return filled[0].map() if len(filled) == 1 else IdsInFiles(filled)


class IdsInFiles:
    """The ids of several files, indexed as one array; few files are open at a time, however many there are.

    What is read is copied, so no file stays open for what was read of it. Threads may read at the same time.

    Args:
        files: The files, in the order of their ids; each has some.

    Raises:
        DataError: If one is gone, or has another size.
    """

    def __init__(self, files: Sequence[FlatFile]) -> None:
        self._files = files
        # Where each file begins, and the end of the last.
        self._begins = np.cumsum([0, *(file.n_tokens for file in files)], dtype=np.int64)
        self._open: dict[int, Tokens] = {}  # the one that was read last is last
        self._lock = threading.Lock()  # a training prepares its batches in a thread
        for file in files:
            file.map()  # a damaged one is named now, and not after hours of training

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the ids."""
        return self._files[0].dtype

    def __len__(self) -> int:
        return int(self._begins[-1])

    def __getitem__(self, places: Any, /) -> Any:
        """Return the ids of a slice, (tokens,), or at an array of integers, in its shape.

        Raises:
            IndexError: If a place is outside, or no integer.
            DataError: If a file is gone meanwhile, or has another size.
        """
        if not isinstance(places, slice):
            return self._at(np.asarray(places))
        start, stop, step = places.indices(len(self))
        return self._between(start, max(start, stop)) if step == 1 else self._at(np.arange(start, stop, step))

    def _between(self, start: int, stop: int) -> Tokens:
        found = np.empty(stop - start, self.dtype)
        first_file, end_file = self._file_of(start), np.searchsorted(self._begins, stop)
        for number in range(first_file, end_file):
            begin, end = self._begins[number : number + 2]
            first, last = max(start, begin), min(stop, end)
            found[first - start : last - start] = self._ids(number)[first - begin : last - begin]
        return found

    def _at(self, places: npt.NDArray[Any]) -> Any:
        if not np.issubdtype(places.dtype, np.integer):
            raise IndexError(f"ids are indexed by slices and integers, not by {places.dtype}")
        flat = places.ravel()
        found = np.empty(len(flat), self.dtype)
        for start in range(0, len(flat), _AT_ONCE):
            found[start : start + _AT_ONCE] = self._look_up(flat[start : start + _AT_ONCE].astype(np.int64))
        return found.reshape(places.shape)[()]  # a number for a single place, as of an array

    def _look_up(self, places: npt.NDArray[np.int64]) -> Tokens:
        places = np.where(places < 0, places + len(self), places)
        outside = (places < 0) | (places >= len(self))
        if outside.any():
            raise IndexError(f"{np.count_nonzero(outside):,} of the places are outside of the {len(self):,} ids")
        # Small integers are sorted in one pass, so the time does not grow with the number of files.
        numbers = self._file_of(places).astype(np.min_scalar_type(len(self._files)))
        order, counts = np.argsort(numbers, kind="stable"), np.bincount(numbers)
        found, ends = np.empty(len(places), self.dtype), np.cumsum(counts)
        for number in np.flatnonzero(counts).tolist():
            here = order[ends[number] - counts[number] : ends[number]]
            found[here] = self._ids(number)[places[here] - self._begins[number]]
        return found

    def _file_of(self, places: Any) -> Any:
        return np.searchsorted(self._begins, places, side="right") - 1

    def _ids(self, number: int) -> Tokens:
        """Return the ids of one file; when too many are open, that which was read longest ago is closed first."""
        with self._lock:
            ids = self._open.pop(number, None)
            if ids is None:
                while len(self._open) >= OPEN_AT_ONCE:
                    del self._open[next(iter(self._open))]
                ids = self._files[number].map()
            self._open[number] = ids
            return ids

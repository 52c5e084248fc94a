"""Values of utterances that stay on disk, and are read some utterances at a time where a program asks for their rows.

Heads that are trained on more than fits into memory read their batches so; see `Resident` of `ser.train.loop.data`. The files
are read by the operating system alone, without HDF5 and its one lock, so that a thread may read the next batch meanwhile.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.stores.bulk_reading import gather
from ser.features.stores.file import StoreFile
from ser.features.stores.layout import DamagedRows
from ser.features.stores.store import FeatureStore

Rows: TypeAlias = NDArray[np.int64]
# Makes of values `(rows, ...)`, and the number of the utterance of each row, other values of the same shape.
Change: TypeAlias = Callable[[NDArray[Any], Rows], NDArray[Any]]


@dataclass(eq=False)
class Source:
    """One file of a store: where its values lie. Opened when it is first read, in each process, and then kept open.

    Attributes:
        path: of the file.
        stamp: size and time of the file when its index was read; another file under the same name has others.
        begin: byte at which the values begin.
        row_bytes: bytes of one row of values.
        offsets: row of the values where each utterance begins, and the end, `(N + 1,)`.
        crc32: check sum of each utterance, `(N,)`.
    """

    path: Path
    stamp: tuple[int, int]
    begin: int
    row_bytes: int
    offsets: Rows
    crc32: NDArray[np.uint32]
    _handle: int | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @classmethod
    def of(cls, file: StoreFile) -> "Source":
        """The values of an open file."""
        with file.opened() as handle:
            stamp = _stamp(handle)
        return cls(file.path.resolve(), stamp, file.begin, file.row_bytes, file.offsets, file.crc32)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Yield the file's number for the operating system; the values begin at byte `begin`."""
        with self._lock:
            if self._handle is None:
                self._handle = self._open()
        yield self._handle

    def _open(self) -> int:
        changed = StoreError(
            f"{self.path} was written again while its features were in use",
            expected="the file that the command began with, as features beyond --memory are read from it all the time",
            action="Give the same command again.",
        )
        try:
            handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            raise changed from None
        weakref.finalize(self, os.close, handle)
        if _stamp(handle) != self.stamp:
            raise changed
        return handle

    def damaged(self, rows: Rows) -> DamagedRows:
        """The error of utterances, by their number in the file, whose bytes are not those that were written."""
        ids = StoreFile(self.path).index.ids
        return DamagedRows(self.path, [ids[row] for row in rows.tolist()])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_handle", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _handle=None, _lock=threading.Lock())


@dataclass(frozen=True, eq=False)
class Streamed:
    """The values of n utterances, on disk: stands where an array `(rows, ...)` of them would.

    `values[rows]` reads rows. A slice of whole utterances, `values[:end]`, and one layer, `values[:, layer]`, stay on disk.

    Attributes:
        sources: the files.
        places: file of each utterance, and its number in it, `(n, 2)`.
        offsets: row where each utterance begins, and the end, `(n + 1,)`.
        tail: shape of a row as it is stored.
        stored, dtype: type of the values on disk, and of those that are given out.
        layer: the only one that is given out of several stored layers; None: all.
        changes: made of what is read, one after another.
    """

    sources: tuple[Source, ...]
    places: Rows
    offsets: Rows
    tail: tuple[int, ...]
    stored: np.dtype[Any]
    dtype: np.dtype[Any]
    layer: int | None = None
    changes: tuple[Change, ...] = ()

    @classmethod
    def of(cls, store: FeatureStore, ids: Sequence[str], dtype: Any) -> "Streamed":
        """The values of some utterances of a store. All are read once, so that a damage shows at once and not after hours.

        Raises:
            StoreError: as of `FeatureStore.read`.
        """
        for _ in store.blocks(ids):
            pass
        places = np.stack(store.places(ids), axis=1)
        sources = tuple(Source.of(file) for file in store.open_files)
        return cls(sources, places, store.offsets(ids), store.shape, store.dtype, np.dtype(dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        return (int(self.offsets[-1]), *(self.tail if self.layer is None else self.tail[1:]))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return replace(self, layer=int(key[1]))
        if isinstance(key, slice):
            return self._part(*key.indices(len(self))[:2])
        rows = np.asarray(key)
        if rows.dtype == np.bool_:  # which would be read as rows 0 and 1
            raise IndexError("a mask of rows; expected their numbers")
        rows = rows.astype(np.int64)
        owners = np.searchsorted(self.offsets, rows, "right") - 1
        wanted, which = np.unique(owners, return_inverse=True)
        values, begins = self.read(wanted)
        own = begins[which] + rows - self.offsets[owners]
        return values if np.array_equal(own, np.arange(len(values))) else values[own]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        values = self.read(np.arange(len(self.places)))[0]
        return values if dtype is None else values.astype(dtype)

    def astype(self, dtype: Any, copy: bool = True) -> NDArray[Any]:
        """All values, in memory."""
        return np.asarray(self).astype(dtype, copy=False)

    def read(self, utterances: Rows) -> tuple[NDArray[Any], Rows]:
        """Read some utterances, each named once: their rows, and the place `(m,)` in these where each begins.

        Raises:
            StoreError: an utterance is damaged, or the file has been written again.
        """
        numbers, rows = self.places[utterances].T
        lengths = self.offsets[utterances + 1] - self.offsets[utterances]
        begins = np.cumsum(lengths) - lengths
        values = np.empty((int(lengths.sum()), *self.tail), self.stored)
        sound = gather(self.sources, numbers, rows, values, begins)
        if not sound.all():
            number = numbers[~sound][0]
            raise self.sources[number].damaged(rows[~sound & (numbers == number)])
        values = (values if self.layer is None else values[:, self.layer]).astype(self.dtype, copy=False)
        owners = np.repeat(utterances, lengths) if self.changes else utterances
        for change in self.changes:
            values = change(values, owners)
        return values, begins

    def changed(self, change: Change) -> "Streamed":
        """The same values, with a change made of them as they are read."""
        return replace(self, changes=(*self.changes, change))

    def _part(self, begin: int, end: int) -> "Streamed":
        first, last = np.searchsorted(self.offsets, [begin, end])
        if self.changes or (self.offsets[first], self.offsets[last]) != (begin, end):
            raise IndexError(f"rows {begin} to {end} are not whole utterances, as they are stored")
        return replace(self, places=self.places[first:last], offsets=self.offsets[first : last + 1] - self.offsets[first])


def concatenated(parts: Sequence["NDArray[Any] | Streamed"]) -> "NDArray[Any] | Streamed":
    """Values of one kind, one after another; those on disk stay there."""
    there = [part for part in parts if isinstance(part, Streamed)]
    if len(there) < len(parts):
        return np.concatenate([np.asarray(part) for part in parts])
    shifts = np.cumsum([0, *(len(part.sources) for part in there[:-1])])
    lengths = [np.diff(part.offsets) for part in there]
    return replace(
        there[0],
        sources=tuple(source for part in there for source in part.sources),
        places=np.concatenate([part.places + np.array([shift, 0]) for part, shift in zip(there, shifts, strict=True)]),
        offsets=np.concatenate([[0], np.cumsum(np.concatenate(lengths))]),
    )


def _stamp(handle: int) -> tuple[int, int]:
    facts = os.fstat(handle)
    return facts.st_size, facts.st_mtime_ns

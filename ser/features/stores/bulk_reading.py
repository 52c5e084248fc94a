"""Utterances read straight to where they are wanted, in few calls, and compared with their check sums on the way."""

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ser.features.stores.file import judged

BLOCK_BYTES = 2**24  # a store is worked through so much at a time; two such blocks are in memory, the next and the last
_CALL_BYTES = 2**21  # read in one call, then compared while it is still in the processor's cache
_CALL_PARTS = 500  # the kernel takes 1024 pieces a call; there may be a gap between any two utterances
_GAP_BYTES = 2**14  # wanted rows that lie nearer than this are read in one call, with what lies between
_THREADS = 4
_ALONE_BYTES = 2**15  # shorter utterances are compared faster by one thread than by several that wait for one another


class Ragged(NamedTuple):
    """Frames of several utterances in one block: utterance `i` is `values[offsets[i]:offsets[i + 1]]`."""

    values: NDArray[Any]  # (sum of frames, D)
    offsets: NDArray[np.int64]  # (n + 1,)


class Readable(Protocol):
    """A file of values, as `ser.features.stores.file.StoreFile` describes it."""

    @property
    def path(self) -> Path: ...
    @property
    def begin(self) -> int: ...
    @property
    def row_bytes(self) -> int: ...
    @property
    def offsets(self) -> NDArray[np.int64]: ...
    @property
    def crc32(self) -> NDArray[np.uint32]: ...
    def opened(self) -> AbstractContextManager[int]: ...


def gather(
    files: Sequence[Readable], numbers: NDArray[np.int64], rows: NDArray[np.int64], out: NDArray[Any], into: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Read utterances of several files, as `fill` does; `numbers` are those of each utterance's file, `(n,)`."""
    sound = np.zeros(len(rows), np.bool_)
    for number in np.flatnonzero(np.bincount(numbers)).tolist():
        chosen = np.flatnonzero(numbers == number)
        sound[chosen] = fill(files[number], rows[chosen], out, into[chosen])
    return sound


def fill(file: Readable, rows: NDArray[np.int64], out: NDArray[Any], into: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Read utterances of one file to where they are wanted. Needs no memory but that of the result.

    Args:
        rows: the utterances, by their number in the file.
        out: where to: rows of values, contiguous.
        into: row of `out` where each utterance begins.

    Returns:
        Whether each is as it was written, `(n,)`; not where the file ends before.

    Raises:
        Damaged: the disk cannot read the file.
        StoreError: the file was merged meanwhile.
    """
    order = np.argsort(rows, kind="stable")
    width = file.row_bytes
    begins = file.begin + file.offsets[rows[order]] * width
    ends = file.begin + file.offsets[rows[order] + 1] * width
    targets, lengths = (into[order] * width).tolist(), (ends - begins).tolist()
    gaps = np.append(begins[1:] - ends[:-1], 0).tolist()
    written = file.crc32[rows[order]].tolist()
    memory, waste = out.reshape(-1).view(np.uint8).data, memoryview(bytearray(_GAP_BYTES))
    sound = np.zeros(len(rows), np.bool_)

    def read(run: tuple[int, int]) -> None:
        numbers = range(*run)
        parts = [memory[targets[n] : targets[n] + lengths[n]] for n in numbers]
        pieces = parts
        if any(gaps[run[0] : run[1] - 1]):
            pieces = [piece for n, part in zip(numbers, parts, strict=True) for piece in (part, waste[: gaps[n]])]
            pieces.pop()
        _read(handle, pieces, int(begins[run[0]]))
        sound[order[slice(*run)]] = [zlib.crc32(part) == written[n] for n, part in zip(numbers, parts, strict=True)]

    try:
        with file.opened() as handle:
            _spread(read, list(_runs(begins, ends)), alone=int(np.mean(lengths)) < _ALONE_BYTES)
    except OSError as error:
        raise judged(file.path, error) from None
    return sound


def _read(handle: int, parts: Sequence[memoryview], at: int) -> None:
    """Fill all parts with what lies from byte `at` on, and zeros where the file has ended."""
    got = _readv(handle, parts, at)
    if got == sum(map(len, parts)):
        return
    for part in parts:  # more than the system reads at once, or a file that ends early
        while part:
            got = _readv(handle, [part], at)
            if not got:
                part[:] = bytes(got := len(part))
            part, at = part[got:], at + got


def _readv(handle: int, parts: Sequence[memoryview], at: int) -> int:
    """Read into the parts, one after another, from byte `at` on; return the number of bytes."""
    if hasattr(os, "preadv"):
        return os.preadv(handle, parts, at)
    os.lseek(handle, at, os.SEEK_SET)  # Windows: one thread then, as the position is the file's
    got = 0
    for part in parts:
        data = os.read(handle, len(part))
        part[: len(data)] = data
        got += len(data)
        if len(data) < len(part):
            break
    return got


def _runs(begins: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Split ascending spans into runs `[first, last)`, each read in one call."""
    count = len(begins)
    breaks = np.append(np.flatnonzero(begins[1:] - ends[:-1] > _GAP_BYTES) + 1, count)
    first = 0
    while first < count:
        fitting = int(np.searchsorted(ends, begins[first] + _CALL_BYTES, "right"))
        together = int(breaks[np.searchsorted(breaks, first, "right")])
        last = min(max(fitting, first + 1), together, first + _CALL_PARTS)
        yield first, last
        first = last


def _spread(read: Callable[[tuple[int, int]], None], runs: list[tuple[int, int]], alone: bool) -> None:
    """Do all runs, in several threads where that is faster: reading and check sums leave Python's lock."""
    threads = 1 if alone or not hasattr(os, "preadv") else min(_THREADS, os.cpu_count() or 1, len(runs))
    if threads < 2:
        for run in runs:
            read(run)
        return
    pool = ThreadPoolExecutor(threads)
    try:
        for _ in pool.map(read, runs):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def batches(sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Split consecutive items into batches `[first, last)` of at most `BLOCK_BYTES`, one item at least."""
    ends = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        begin = ends[first] - sizes[first]
        last = max(first + 1, int(np.searchsorted(ends, begin + BLOCK_BYTES, "right")))
        yield first, last
        first = last

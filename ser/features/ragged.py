"""Spans of rows: which lie together on disk, and reading many of them in few contiguous reads."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.file import StoreFile

BLOCK_BYTES = 64 * 2**20  # at most this much is read at once, but for one utterance that is larger
_GAP_BYTES = 2**18  # wanted rows that lie nearer than this are read in one go, with what lies between


class Ragged(NamedTuple):
    """Frames of several utterances in one block: utterance `i` is `values[offsets[i]:offsets[i + 1]]`."""

    values: NDArray[Any]  # (sum of frames, D)
    offsets: NDArray[np.int64]  # (n + 1,)


def gather(file: StoreFile, rows: NDArray[np.int64], out: NDArray[Any], into: NDArray[np.int64]) -> None:
    """Copy utterances of one file to where they are wanted, in as few contiguous reads as is sensible."""
    order = np.argsort(rows, kind="stable")
    begins, ends, into = file.offsets[rows[order]], file.offsets[rows[order] + 1], into[order]
    row_bytes = max(1, int(np.prod(out.shape[1:], dtype=np.int64)) * out.dtype.itemsize)
    for first, last in _runs(begins, ends, _GAP_BYTES // row_bytes, BLOCK_BYTES // row_bytes):
        start = int(begins[first])
        try:
            block = file.block(start, int(ends[last - 1]))
        except FileNotFoundError:
            raise StoreError(f"{file.path} was merged while it was read", action="Open the store again.") from None
        lengths = ends[first:last] - begins[first:last]
        out[_ranges(into[first:last], lengths)] = block[_ranges(begins[first:last] - start, lengths)]


def _runs(begins: NDArray[np.int64], ends: NDArray[np.int64], gap: int, limit: int) -> Iterator[tuple[int, int]]:
    """Split ascending spans into runs `[first, last)` whose gaps and lengths are below the limits."""
    first = 0
    for last in range(1, len(begins) + 1):
        if last == len(begins) or begins[last] - ends[last - 1] > gap or ends[last] - begins[first] > limit:
            yield first, last
            first = last


def batches(sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Split consecutive items into batches `[first, last)` of at most `BLOCK_BYTES`, one item at least."""
    ends = np.cumsum(sizes)
    return _runs(ends - sizes, ends, 0, BLOCK_BYTES)


def _ranges(begins: NDArray[np.int64], lengths: NDArray[np.int64]) -> "NDArray[np.int64] | slice":
    """The numbers of the spans one after another; a slice where they are contiguous."""
    if bool((begins[1:] == begins[:-1] + lengths[:-1]).all()):
        return slice(int(begins[0]), int(begins[-1] + lengths[-1]))
    ends = np.cumsum(lengths)
    return np.repeat(begins - (ends - lengths), lengths) + np.arange(ends[-1])

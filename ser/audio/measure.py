"""Facts of one utterance's audio, for an audit: it is decoded once, the facts are a few hundred bytes.

Fingerprints are kept when a recording is encoded again, made louder, resampled or trimmed. They have words of 32 bits, one
every 20 ms: bit b is set if the energy difference between the bands b and b + 1 grew or fell over 80 ms (J. Haitsma, T. Kalker:
A Highly Robust Audio Fingerprinting System, ISMIR 2002; there with windows of 370 ms, every 11.6 ms, over one step). Gain does
not change a sign, a cut moves the words only, and the windows overlap so much that a cut between two hops changes few bits.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ser.audio.reading import Audio, clipped_share, decode, resample
from ser.errors import AudioError

_BLOCK = 1024  # samples of a spectrum


RATE = 8000  # Hz: the band that every telephone keeps
WINDOW = 2048  # samples: 256 ms
HOP = 160  # samples: 20 ms
SPAN = 4  # hops between the energies compared
BANDS = 33
LOWEST, HIGHEST = 300.0, 2000.0  # Hz, as in the paper
FLOOR_DB = 50.0  # frames so far below the loudest are noise and pauses: they have no word

# Bins at which the bands begin and end, evenly spaced in the logarithm of the frequency: `(BANDS + 1,)`.
_EDGES = np.round(np.geomspace(LOWEST, HIGHEST, BANDS + 1) * WINDOW / RATE).astype(np.int64)
_TAPER = np.hanning(WINDOW).astype(np.float32)

Words = NDArray[np.uint32]


def fingerprint(audio: Audio, rate: int) -> Words:
    """Compute the words of a recording.

    Args:
        audio: `(samples,)`, any level.
        rate: Hz.

    Returns:
        uint32 `(words,)`, one every 20 ms; 0 where there is nothing to compare (pauses).
    """
    sound = resample(np.ascontiguousarray(audio, dtype=np.float32), rate, RATE)
    if not len(sound):
        return np.zeros(0, dtype=np.uint32)
    padded = np.pad(sound, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    energies = np.concatenate([_energies(frames[k : k + 256]) for k in range(0, len(frames), 256)])
    if len(energies) <= SPAN:
        return np.zeros(0, dtype=np.uint32)
    contrast = energies[:, :-1] - energies[:, 1:]
    bits = contrast[SPAN:] > contrast[:-SPAN]
    words: Words = np.packbits(bits, axis=1).view(">u4").ravel().astype(np.uint32)
    total = energies.sum(axis=1)
    loud = total > total.max() * 10 ** (-FLOOR_DB / 10)
    words[~(loud[SPAN:] & loud[:-SPAN])] = 0
    return words


def _energies(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """`(frames, samples)` -> `(frames, BANDS)`."""
    spectrum = np.fft.rfft(frames * _TAPER, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    found: NDArray[np.float64] = np.add.reduceat(power[:, : _EDGES[-1]], _EDGES[:-1], axis=1)
    return found


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
        words: the fingerprint; see `ser.audio.measure`.
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

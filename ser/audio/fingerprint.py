"""Fingerprints that a recording keeps when it is encoded again, made louder, resampled or trimmed.

Sub-fingerprints of 32 bits, one every 20 ms: bit b is set if the energy difference between the bands b and b + 1 grew
or fell over 80 ms (J. Haitsma, T. Kalker: A Highly Robust Audio Fingerprinting System, ISMIR 2002; there with windows of
370 ms, every 11.6 ms, over one step). Gain does not change a sign, a cut moves the words only, and the windows overlap so
much that a cut between two hops changes few bits.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ser.audio.reading import Audio, resample

RATE = 8000  # Hz: the band that every telephone keeps
WINDOW = 2048  # samples: 256 ms
HOP = 160  # samples: 20 ms
SPAN = 4  # hops between the energies compared
BANDS = 33
LOWEST, HIGHEST = 300.0, 2000.0  # Hz, as in the paper
FLOOR_DB = 50.0  # frames so far below the loudest are noise and pauses: they have no word

Words = NDArray[np.uint32]


@cache
def _edges() -> NDArray[np.int64]:
    """Bins at which the bands begin and end, evenly spaced in the logarithm of the frequency: `(BANDS + 1,)`."""
    return np.round(np.geomspace(LOWEST, HIGHEST, BANDS + 1) * WINDOW / RATE).astype(np.int64)


@cache
def _taper() -> NDArray[np.float32]:
    return np.hanning(WINDOW).astype(np.float32)


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
    spectrum = np.fft.rfft(frames * _taper(), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    edges = _edges()
    found: NDArray[np.float64] = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    return found

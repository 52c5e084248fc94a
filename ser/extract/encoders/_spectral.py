"""The base of the spectral encoders: frames of one utterance, or their mean and standard deviation over time.

The mel spectrogram is that of librosa's defaults (McFee et al., SciPy 2015), bit for bit as librosa 0.11 computes it. librosa
itself is not used: its first import in an environment compiles for half a minute of processor time.
"""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ser.errors import AudioError
from ser.extract.encoder import Encoder
from ser.extract.options import EncoderOptions, refuse_unused, store_name
from ser.extract.provenance import versions
from ser.files import JsonObject

AT_ONCE = 1024  # frames that are transformed together


class Spectral(Encoder):
    """Frames computed by signal processing. No weights, no torch: many processes at once.

    Frame level is the default. Utterance level is the mean, then the standard deviation of each feature over time
    (`(2 * bands,)`), of the frames before any normalisation over the utterance: of normalised ones the mean would
    be 0.
    """

    modality = "audio"
    processes = True

    def __init__(self, plugin: str, options: EncoderOptions, *, bands: int, identity: JsonObject) -> None:
        refuse_unused(options, plugin)
        self.level = options.level or "frame"
        self.dim = bands if self.level == "frame" else 2 * bands
        self.name = store_name(plugin, options, "frame")
        self.assets = {}
        self.identity = {
            "plugin": plugin,
            "model": None,
            "level": self.level,
            "pooling": "mean and standard deviation" if self.level == "utterance" else None,
            "sample_rate": self.sample_rate,
            **identity,
            "versions": versions("numpy", "scipy"),
        }

    @abstractmethod
    def frames(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(samples,)` -> `(frames, bands)`."""

    def normalised(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """The frames as frame level keeps them."""
        return frames

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        return [self._encode(audio) for audio in inputs]

    def _encode(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(audio) < self.minimum:
            expected = f"{self.minimum} samples at {self.sample_rate} Hz or more"
            raise AudioError("the audio is shorter than one analysis window", expected=expected, found=len(audio))
        with _blas().limit(limits=1, user_api="blas"):  # sums are rounded otherwise by another number of threads
            frames = self.frames(audio)
        if self.level == "frame":
            return finite_features(self.normalised(frames).astype(np.float32))
        both = [frames.mean(axis=0, dtype=np.float64), frames.std(axis=0, dtype=np.float64)]
        return finite_features(np.concatenate(both).astype(np.float32))


def mel_spectrogram(audio: NDArray[np.float32], rate: int, window: int, hop: int, bands: int) -> NDArray[np.float32]:
    """The power in each mel band: Hann windows, centred, with zeros beyond the ends.

    Args:
        audio: `(samples,)`.
        rate: Hz.
        window, hop: in samples.

    Returns:
        `(bands, 1 + samples // hop)`.
    """
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = sliding_window_view(np.pad(audio, window // 2), window)[::hop]
    power = np.empty((1 + window // 2, len(frames)), dtype=np.float32, order="F")
    for first in range(0, len(frames), AT_ONCE):
        part = np.fft.rfft(hann * frames[first : first + AT_ONCE], axis=1).astype(np.complex64)
        power[:, first : first + AT_ONCE] = np.abs(part).T ** 2
    found: NDArray[np.float32] = np.einsum("ft,mf->mt", power, _mel_bank(rate, window, bands), optimize=True)
    return found


@cache
def _mel_bank(rate: int, window: int, bands: int) -> NDArray[np.float32]:
    """Triangular filters of area 1 from 0 Hz to half the rate, `(bands, 1 + window // 2)`.

    Their corners are evenly spaced on Slaney's mel scale (Auditory Toolbox, 1998): linear up to 15 mels at 1 kHz, and 27 mels
    to each factor of 6.4 above.
    """
    step = np.log(6.4) / 27
    mels = np.linspace(0, 15 + np.log(rate / 2000) / step, bands + 2)
    corners = np.where(mels < 15, 200 / 3 * mels, 1000 * np.exp(step * (mels - 15)))
    ramps = np.subtract.outer(corners, np.fft.rfftfreq(window, 1 / rate))
    widths = np.diff(corners)[:, None]
    slopes = np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:])
    bank: NDArray[np.float32] = np.maximum(0, slopes).astype(np.float32)
    bank *= (2 / (corners[2:] - corners[:-2]))[:, None]
    return bank


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def finite_features(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Refuse features that are not finite.

    Raises:
        AudioError: there are too few; it names their number.
    """
    if not np.isfinite(features).all():
        count = int((~np.isfinite(features)).sum())
        raise AudioError("the encoder gives features that are not finite", found=f"{count} of {features.size} values")
    return features

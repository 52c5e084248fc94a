"""The base of the spectral encoders: frames of one utterance, or their mean and standard deviation over time."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import AudioError, EncoderError
from ser.extract.encoder import Encoder
from ser.extract.options import EncoderOptions, refuse_unused, store_name
from ser.extract.provenance import versions
from ser.files import JsonObject
from ser.optional import need


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
        need("librosa", "spectral", kind=EncoderError)
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
            "versions": versions("librosa", "numpy", "scipy"),
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

"""The base of the openSMILE encoders. openSMILE's licence allows research and private use only; nothing else needs it."""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import AudioError, EncoderError
from ser.extract.encoder import Encoder
from ser.extract.options import EncoderOptions, refuse_unused, store_name
from ser.extract.provenance import versions
from ser.optional import need

SAMPLE_RATE = 16000
MINIMUM = 960  # samples: the longest analysis window, 60 ms; openSMILE gives NaN for less
SOURCE = "openSMILE 3 (Eyben, Wöllmer & Schuller, ACM MM 2010; audEERING)"
LICENCE = "openSMILE: research and private use only"
LEVELS = ("utterance", "frame")
# Our levels -> openSMILE's: functionals over the whole utterance, or low-level descriptors every 10 ms.
NAMES = {"utterance": "Functionals", "frame": "LowLevelDescriptors"}


class Smile(Encoder):
    """One of openSMILE's feature sets, on audio `(samples,)` at 16 kHz. Signal processing: many processes at once."""

    modality = "audio"
    processes = True
    threads = True  # a handle of its own for each call, during which Python is free
    sample_rate = SAMPLE_RATE
    minimum = MINIMUM

    def __init__(self, plugin: str, features: str, options: EncoderOptions) -> None:
        need("opensmile", "egemaps", kind=EncoderError, note=" (openSMILE's licence: research and private use only).")
        refuse_unused(options, plugin)
        self.features = features
        self.level = options.level or "utterance"
        self.dim = len(extractor(features, NAMES[self.level]).feature_names)
        self.name = store_name(plugin, options, "utterance")
        self.assets = {}
        self.identity = {
            "plugin": plugin,
            "model": features,
            "level": self.level,
            "features": NAMES[self.level],
            "sample_rate": SAMPLE_RATE,
            "versions": versions("opensmile"),
        }

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        return [self._encode(audio) for audio in inputs]

    def _encode(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(audio) < MINIMUM:
            expected = f"{MINIMUM} samples at {SAMPLE_RATE} Hz or more"
            raise AudioError("the audio is shorter than openSMILE's analysis window", expected=expected, found=len(audio))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of, NaN for short audio, is an error below
            table = extractor(self.features, NAMES[self.level]).process_signal(audio, SAMPLE_RATE)
        values: NDArray[np.float32] = table.to_numpy(dtype=np.float32)
        if not np.isfinite(values).all():
            names = [str(name) for name in table.columns[~np.isfinite(values).all(axis=0)]]
            found = f"{len(names)} of {self.dim}: {', '.join(names[:3])}"
            raise AudioError("openSMILE gives features that are not finite", found=found)
        return values if self.level == "frame" else values[0]


@cache
def extractor(features: str, level: str) -> Any:
    """openSMILE, made once a process: it holds a handle that cannot be sent to another."""
    import opensmile

    return opensmile.Smile(
        feature_set=opensmile.FeatureSet[features], feature_level=opensmile.FeatureLevel[level], num_workers=1
    )

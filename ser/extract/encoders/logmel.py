"""Log-mel spectrogram: 64 bands, 25 ms window, 10 ms hop, 16 kHz, z-scored per utterance.

The input of the CNNs in speech emotion recognition. Audio `(samples,)` at 16 kHz -> `(1 + samples // 160, 64)`, 100
Hz. Hann window and FFT of 400 samples, power spectrum, Slaney's mel scale from 0 to 8,000 Hz (librosa's
default), natural logarithm of the band energies, floored at 1e-10; frames are centred, with zeros beyond the ends.
The z-score takes one mean and one standard deviation over all bands and frames of the utterance, as is usual where
the spectrogram is read as a picture: it removes the level of the recording and keeps the shape of the spectrum,
which a z-score per band would remove too.

Utterance level: mean and standard deviation of each band over time, before the z-score (128 numbers).
"""

import numpy as np
from numpy.typing import NDArray

from ser.errors import AudioError
from ser.extract.encoder import Checkpoint
from ser.extract.encoders._spectral import Spectral
from ser.extract.options import EncoderOptions
from ser.metadata.ledger import NOTHING_LEARNED

MODALITY = "audio"
SOURCE = "librosa (McFee et al., SciPy 2015)"
LICENCE = "no weights (librosa: ISC)"
CITATION = (
    "B. McFee, C. Raffel, D. Liang, D. P. W. Ellis, M. McVicar, E. Battenberg, O. Nieto: librosa: Audio and Music "
    "Signal Analysis in Python. SciPy 2015, 18-24. doi:10.25080/Majora-7b98e3ed-003"
)
LEVELS = ("frame", "utterance")
CHECKPOINTS: dict[str, Checkpoint] = {}
DIM = "64 (128 pooled)"
SAMPLE_RATE, WINDOW, HOP, BANDS, FLOOR = 16000, 400, 160, 64, 1e-10

TRAINING_DATA = {"logmel": NOTHING_LEARNED}


def load(name: str, options: EncoderOptions) -> "LogMel":
    """The log-mel encoder."""
    return LogMel(options)


class LogMel(Spectral):
    """Log-mel spectrograms."""

    sample_rate = SAMPLE_RATE
    minimum = WINDOW

    def __init__(self, options: EncoderOptions) -> None:
        settings = {"window": WINDOW, "hop": HOP, "bands": BANDS, "mel": "slaney", "log": "natural", "floor": FLOOR}
        normalise = "utterance, over bands and frames" if (options.level or "frame") == "frame" else None
        super().__init__("logmel", options, bands=BANDS, identity={**settings, "normalise": normalise})
        self.spectrogram = normalise is not None

    def frames(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        from librosa.feature import melspectrogram

        mel = melspectrogram(y=audio, sr=SAMPLE_RATE, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS, pad_mode="constant")
        logarithm: NDArray[np.float32] = np.log(np.maximum(mel.T, FLOOR))
        return logarithm

    def normalised(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        mean, deviation = frames.mean(dtype=np.float64), frames.std(dtype=np.float64)
        if deviation < 1e-6:
            raise AudioError("the audio's spectrum does not change: it is silent", found=f"standard deviation {deviation:g}")
        scored: NDArray[np.float32] = ((frames - mean) / deviation).astype(np.float32)
        return scored

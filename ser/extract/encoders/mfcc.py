"""MFCC: 39 static coefficients at 22,050 Hz, as TIM-Net reads them.

Ye et al., ICASSP 2023 (arXiv:2211.08233). Audio `(samples,)` at 22,050 Hz -> `(1 + samples // 512, 39)`, 43 Hz:
`librosa.feature.mfcc(n_mfcc=39)` with librosa's defaults (window and FFT 2,048 samples, hop 512, Hann, 128 Slaney
mel bands, dB below the utterance's maximum cut at 80, orthonormal DCT-II). That is what TIM-Net's published code
computes; its text names a window of 50 ms, a hop of 12.5 ms and a Hamming window. TIM-Net also cuts or pads each
corpus to one length, which is left to the head here.

Utterance level: mean and standard deviation of each coefficient over time (78 numbers).
"""

import numpy as np
from numpy.typing import NDArray

from ser.extract.encoder import Checkpoint
from ser.extract.encoders._spectral import Spectral
from ser.extract.options import EncoderOptions
from ser.metadata.ledger import NOTHING_LEARNED

MODALITY = "audio"
SOURCE = "Ye et al., ICASSP 2023 (TIM-Net); librosa"
LICENCE = "no weights (librosa: ISC)"
CITATION = (
    "B. McFee, C. Raffel, D. Liang, D. P. W. Ellis, M. McVicar, E. Battenberg, O. Nieto: librosa: Audio and Music "
    "Signal Analysis in Python. SciPy 2015, 18-24. doi:10.25080/Majora-7b98e3ed-003"
)
LEVELS = ("frame", "utterance")
CHECKPOINTS: dict[str, Checkpoint] = {}
DIM = "39 (78 pooled)"
SAMPLE_RATE, WINDOW, HOP, BANDS, COEFFICIENTS = 22050, 2048, 512, 128, 39

TRAINING_DATA = {"mfcc": NOTHING_LEARNED}


def load(name: str, options: EncoderOptions) -> "Mfcc":
    """The MFCC encoder."""
    return Mfcc(options)


class Mfcc(Spectral):
    """Mel-frequency cepstral coefficients."""

    sample_rate = SAMPLE_RATE
    minimum = WINDOW

    def __init__(self, options: EncoderOptions) -> None:
        settings = {"window": WINDOW, "hop": HOP, "bands": BANDS, "coefficients": COEFFICIENTS}
        super().__init__("mfcc", options, bands=COEFFICIENTS, identity=settings)

    def frames(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        from librosa.feature import mfcc

        coefficients = mfcc(y=audio, sr=SAMPLE_RATE, n_mfcc=COEFFICIENTS, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS)
        transposed: NDArray[np.float32] = coefficients.T
        return transposed

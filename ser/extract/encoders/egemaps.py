"""eGeMAPSv02: the extended Geneva minimalistic acoustic parameter set, by openSMILE.

Eyben et al., IEEE TAC 2016 (10.1109/TAFFC.2015.2457417). Audio `(samples,)` at 16 kHz -> 88 functionals an
utterance (`(88,)`), or 25 low-level descriptors every 10 ms (`(frames, 25)`): pitch, jitter, shimmer, formants,
loudness, spectral shape, MFCC 1-4.
"""

from ser.extract import smile
from ser.extract.encoder import Checkpoint, Options
from ser.extract.smile import Smile

MODALITY = "audio"
SOURCE = f"Eyben et al., IEEE TAC 2016; {smile.SOURCE}"
LICENCE = smile.LICENCE
LEVELS = smile.LEVELS
CHECKPOINTS: dict[str, Checkpoint] = {}
DIM = "88 (25 a frame)"


def load(name: str, options: Options) -> Smile:
    """The eGeMAPS encoder.

    Raises:
        EncoderError: opensmile is not installed.
    """
    return Smile("egemaps", "eGeMAPSv02", options)

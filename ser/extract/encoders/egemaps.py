"""eGeMAPSv02: the extended Geneva minimalistic acoustic parameter set, by openSMILE.

Eyben et al., IEEE TAC 2016 (10.1109/TAFFC.2015.2457417). Audio `(samples,)` at 16 kHz -> 88 functionals an
utterance (`(88,)`), or 25 low-level descriptors every 10 ms (`(frames, 25)`): pitch, jitter, shimmer, formants,
loudness, spectral shape, MFCC 1-4.
"""

from ser.extract.encoder import Checkpoint
from ser.extract.encoders import _opensmile
from ser.extract.encoders._opensmile import Smile
from ser.extract.options import EncoderOptions
from ser.metadata.ledger import NOTHING_LEARNED

MODALITY = "audio"
SOURCE = f"Eyben et al., IEEE TAC 2016; {_opensmile.SOURCE}"
LICENCE = _opensmile.LICENCE
CITATION = (
    "F. Eyben, K. R. Scherer, B. W. Schuller, J. Sundberg, E. André, C. Busso, L. Y. Devillers, J. Epps, P. "
    "Laukka, S. S. Narayanan, K. P. Truong: The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice "
    "Research and Affective Computing. IEEE Transactions on Affective Computing 7(2), 190-202, 2016. "
    "doi:10.1109/TAFFC.2015.2457417"
)
LEVELS = _opensmile.LEVELS
CHECKPOINTS: dict[str, Checkpoint] = {}
DIM = "88 (25 per frame)"

TRAINING_DATA = {"egemaps": NOTHING_LEARNED}


def load(name: str, options: EncoderOptions) -> Smile:
    """The eGeMAPS encoder."""
    return Smile("egemaps", "eGeMAPSv02", options)

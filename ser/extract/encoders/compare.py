"""ComParE 2016: the feature set of the Interspeech computational paralinguistics challenges, by openSMILE.

Schuller et al., Interspeech 2016 (10.21437/Interspeech.2016-129). Audio `(samples,)` at 16 kHz -> 6,373 functionals
an utterance (`(6373,)`), or 65 low-level descriptors every 10 ms (`(frames, 65)`).
"""

from ser.extract.encoder import Checkpoint
from ser.extract.encoders import _opensmile
from ser.extract.encoders._opensmile import Smile
from ser.extract.options import EncoderOptions
from ser.metadata.ledger import NOTHING_LEARNED

MODALITY = "audio"
SOURCE = f"Schuller et al., Interspeech 2016; {_opensmile.SOURCE}"
LICENCE = _opensmile.LICENCE
CITATION = (
    "B. Schuller, S. Steidl, A. Batliner, J. Hirschberg, J. K. Burgoon, A. Baird, A. Elkins, Y. Zhang, E. "
    "Coutinho, K. Evanini: The INTERSPEECH 2016 Computational Paralinguistics Challenge: Deception, Sincerity & "
    "Native Language. Interspeech 2016, 2001-2005. doi:10.21437/Interspeech.2016-129"
)
LEVELS = _opensmile.LEVELS
CHECKPOINTS: dict[str, Checkpoint] = {}
DIM = "6373 (65 per frame)"

TRAINING_DATA = {"compare": NOTHING_LEARNED}


def load(name: str, options: EncoderOptions) -> Smile:
    """The ComParE encoder."""
    return Smile("compare", "ComParE_2016", options)

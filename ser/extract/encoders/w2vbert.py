"""w2v-BERT 2.0, the speech encoder of Seamless, through transformers.

Seamless Communication, 2023 (arXiv:2312.05187); Chung et al., ASRU 2021 (w2v-BERT, arXiv:2108.06209): a Conformer over log-mel
frames. Audio `(samples,)` at 16 kHz -> 80 Mel bands of 25 ms every 10 ms, each band normalised over the utterance -> two frames
stacked to 160 numbers -> frames `((1 + (samples - 400) // 160) // 2, dim)`, 50 Hz.

Batches are exact: the spectrogram is of each utterance before padding; the frames of padding are masked in attention, and the
convolutions look back only.
"""

from pathlib import Path

from ser.errors import EncoderError
from ser.extract.checkpoints import locate_model, parse_model_name
from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.encoders._example import SIZES, save_model
from ser.extract.models.loading import NEEDS, PREPROCESSOR, refuse_other_kind
from ser.extract.options import DTYPES, STATISTICS, EncoderOptions, refuse_unused, torch_device
from ser.metadata.ledger import UNKNOWN, TrainingData
from ser.optional import need

MODALITY = "audio"
SOURCE = "Meta AI; through transformers"
LICENCE = "MIT"
CITATION = (
    "Seamless Communication: Seamless: Multilingual Expressive and Streaming Speech Translation. arXiv, 2023. "
    "arXiv:2312.05187"
)
LEVELS = ("utterance", "frame")
LAYERS = "all"
MODEL_TYPES = ("wav2vec2-bert",)
_SEAMLESS = TrainingData(
    "pre-trained on 4.5 million hours of audio in over 143 languages that is not listed (Seamless Communication, 2023)",
    otherwise=UNKNOWN,
)
CHECKPOINTS = {
    "w2v-bert-2.0": Checkpoint("facebook/w2v-bert-2.0", 1024, "143 languages, 4,500,000 h, unlabelled", data=_SEAMLESS),
}
TRAINING_DATA = {"w2v-bert-*": _SEAMLESS}


def load(name: str, options: EncoderOptions) -> Encoder:
    """A w2v-BERT encoder by short name, hub id or folder.

    Raises:
        EncoderError: the files are missing, are of another kind of model, or lack a weight.
    """
    need("transformers", "encoders", kind=EncoderError)
    refuse_unused(options, name, layers=[options.layers], pooling=["mean", STATISTICS], dtype=DTYPES)
    torch_device(options.device)
    known = parse_model_name(name, "w2vbert", CHECKPOINTS)
    found = locate_model(known, options, (*NEEDS, PREPROCESSOR))
    refuse_other_kind(found, known.model, "a w2v-BERT model", MODEL_TYPES)
    from ser.extract.models.w2vbert import W2vBert

    return W2vBert(known, found, options)


def example(folder: Path) -> Path:
    """Write a tiny model as `facebook/w2v-bert-2.0`: distances up to 64 back and 8 ahead in attention, no adapter."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    save_model(folder, Wav2Vec2BertModel, Wav2Vec2BertConfig(**SIZES))
    SeamlessM4TFeatureExtractor(padding_value=1).save_pretrained(folder)
    return folder

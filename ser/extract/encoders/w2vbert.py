"""w2v-BERT 2.0, the speech encoder of Seamless, through transformers.

Seamless Communication, 2023 (arXiv:2312.05187); Chung et al., ASRU 2021 (w2v-BERT, arXiv:2108.06209): a Conformer over log-mel
frames. Audio `(samples,)` at 16 kHz -> 80 Mel bands of 25 ms every 10 ms, each band normalised over the utterance -> two frames
stacked to 160 numbers -> frames `((1 + (samples - 400) // 160) // 2, dim)`, 50 Hz.

Batches are exact: the spectrogram is of each utterance before padding; the frames of padding are masked in attention, and the
convolutions look back only.
"""

from pathlib import Path

from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.encoders._example import SIZES, save_model
from ser.extract.models.loading import find_model
from ser.extract.options import STATISTICS, EncoderOptions
from ser.metadata.ledger import UNKNOWN, TrainingData

MODALITY = "audio"
SOURCE = "Meta AI; through transformers"
LICENCE = "MIT"
CITATION = (
    "Seamless Communication: Seamless: Multilingual Expressive and Streaming Speech Translation. arXiv, 2023. arXiv:2312.05187"
)
LEVELS = ("utterance", "frame")
LAYERS = "all"
MODEL_TYPES = ("wav2vec2-bert",)
_SEAMLESS = TrainingData(
    "pre-trained on 4.5 million hours of audio in over 143 languages that is not listed (Seamless Communication, 2023)",
    otherwise=UNKNOWN,
)
CHECKPOINTS = {
    "w2v-bert-2.0": Checkpoint("facebook/w2v-bert-2.0", 1024, "143 languages, 4,500,000 h, unlabelled", data=_SEAMLESS)
}
TRAINING_DATA = {"w2v-bert-*": _SEAMLESS}


def load(name: str, options: EncoderOptions) -> Encoder:
    """A w2v-BERT encoder by short name, hub id or folder."""
    allowed = {"layers": [options.layers], "pooling": ["mean", STATISTICS]}
    known, found = find_model(name, options, "w2vbert", CHECKPOINTS, MODEL_TYPES, "a w2v-BERT model", **allowed)
    from ser.extract.models.w2vbert import W2vBert

    return W2vBert(known, found, options)


def example(folder: Path) -> Path:
    """Write a tiny model as `facebook/w2v-bert-2.0`: distances up to 64 back and 8 ahead in attention, no adapter."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    save_model(folder, Wav2Vec2BertModel, Wav2Vec2BertConfig(**SIZES))
    SeamlessM4TFeatureExtractor(padding_value=1).save_pretrained(folder)
    return folder

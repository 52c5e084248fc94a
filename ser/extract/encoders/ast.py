"""AST, the Audio Spectrogram Transformer, through transformers.

Gong et al., Interspeech 2021 (arXiv:2104.01778): a Vision Transformer over patches of 16 x 16 of a log-mel spectrogram, begun
from DeiT's weights of ImageNet and trained to tag AudioSet. Audio `(samples,)` at 16 kHz -> 128 Mel bands, padded to 1,024
frames, as published; longer audio is read in windows of 10.24 s, one after another.

Utterance level is the mean of the class and the distillation token, which the published classifier reads (of several windows,
their mean). Frame level is the mean over the bands of each column of patches that begins within the utterance, 10 Hz.
"""

from pathlib import Path

from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.encoders._example import SIZES, save_model
from ser.extract.models.loading import find_model
from ser.extract.options import EncoderOptions
from ser.metadata.ledger import UNKNOWN, TrainingData, all_are

MODALITY = "audio"
SOURCE = "MIT CSAIL; through transformers"
LICENCE = "BSD-3-Clause"
CITATION = "Y. Gong, Y.-A. Chung, J. Glass: AST: Audio Spectrogram Transformer. Interspeech 2021, 571-575. arXiv:2104.01778"
LEVELS = ("utterance", "frame")
LAYERS = "all"
MODEL_TYPES = ("audio-spectrogram-transformer",)
_AUDIOSET = TrainingData(
    "trained to tag AudioSet, clips of YouTube, from weights of ImageNet (Gong et al., Interspeech 2021)",
    all_are(UNKNOWN, "meld", "urdu", "shemo"),  # cut from broadcasts: data of the web may hold the same recordings
)
CHECKPOINTS = {
    "ast": Checkpoint("MIT/ast-finetuned-audioset-10-10-0.4593", 768, "AudioSet, 5,000 h of sounds, tagged", data=_AUDIOSET)
}
TRAINING_DATA = {"ast-finetuned-audioset-*": _AUDIOSET}


def load(name: str, options: EncoderOptions) -> Encoder:
    """An AST model by short name, hub id or folder."""
    allowed = {"layers": [options.layers], "pooling": ["mean"]}
    known, found = find_model(name, options, "ast", CHECKPOINTS, MODEL_TYPES, "an AST model", **allowed)
    from ser.extract.models.ast import Ast

    return Ast(known, found, options)


def example(folder: Path) -> Path:
    """Write a tiny model as the published ones: the classifier's, with windows of 48 frames."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    save_model(folder, ASTForAudioClassification, ASTConfig(**SIZES, max_length=48))
    ASTFeatureExtractor(max_length=48).save_pretrained(folder)
    return folder

"""The encoder of Whisper and of distil-Whisper, through transformers.

Radford et al., ICML 2023 (arXiv:2212.04356); Gandhi et al., 2023 (distil-Whisper, whose encoders are those of its teachers,
arXiv:2311.00430). Audio `(samples,)` at 16 kHz -> log-mel spectrogram by the
checkpoint's own feature extractor -> frames `(ceil(samples / 320), dim)`, 50 Hz. Whisper reads windows of 30 s and
was trained with shorter audio padded to that; the frames of padding are left out of the result. Longer audio is
read in windows of 30 s, one after another. With `--window exact` the padding is left out of what it reads as well.
"""

from pathlib import Path

from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.encoders._example import save_model
from ser.extract.models.loading import find_model
from ser.extract.options import STATISTICS, WINDOWS, EncoderOptions
from ser.metadata.ledger import UNKNOWN, TrainingData

MODALITY = "audio"
SOURCE = "OpenAI, Hugging Face; through transformers"
LICENCE = "Apache-2.0"
CITATIONS = {  # by the names that they are of
    "whisper-*": (
        "A. Radford, J. W. Kim, T. Xu, G. Brockman, C. McLeavey, I. Sutskever: Robust Speech Recognition via "
        "Large-Scale Weak Supervision. ICML 2023. arXiv:2212.04356"
    ),
    "distil-*": (
        "S. Gandhi, P. von Platen, A. M. Rush: Distil-Whisper: Robust Knowledge Distillation via Large-Scale "
        "Pseudo Labelling. arXiv, 2023. arXiv:2311.00430"
    ),
}
LEVELS = ("utterance", "frame")
LAYERS = "all"
_WEB = TrainingData("trained on transcribed audio of the web that is not listed (Radford et al., ICML 2023)", otherwise=UNKNOWN)
_DISTILLED = TrainingData(
    "the encoder is its teacher's, trained on transcribed audio of the web that is not listed (Gandhi et al., 2023)",
    otherwise=UNKNOWN,
)
TRAINING_DATA = {"whisper-*": _WEB, "distil-large-*": _DISTILLED}
CHECKPOINTS = {
    "whisper-tiny": Checkpoint("openai/whisper-tiny", 384, "99 languages, 680,000 h, transcribed"),
    "whisper-base": Checkpoint("openai/whisper-base", 512, "99 languages, 680,000 h, transcribed"),
    "whisper-small": Checkpoint("openai/whisper-small", 768, "99 languages, 680,000 h, transcribed"),
    "whisper-medium": Checkpoint("openai/whisper-medium", 1024, "99 languages, 680,000 h, transcribed"),
    "whisper-large-v2": Checkpoint("openai/whisper-large-v2", 1280, "99 languages, 680,000 h, transcribed"),
    "whisper-large-v3": Checkpoint(
        "openai/whisper-large-v3", 1280, "99 languages, 5,000,000 h, transcribed by v2 for the most part"
    ),
    "whisper-large-v3-turbo": Checkpoint(
        "openai/whisper-large-v3-turbo", 1280, "99 languages, large-v3 tuned on with a decoder of 4 blocks", "MIT"
    ),
    "distil-small-en": Checkpoint(
        "distil-whisper/distil-small.en", 768, "English; the encoder of whisper-small.en", "MIT", data=_DISTILLED
    ),
    "distil-medium-en": Checkpoint(
        "distil-whisper/distil-medium.en", 1024, "English; the encoder of whisper-medium.en", "MIT", data=_DISTILLED
    ),
    "distil-large-v3": Checkpoint(
        "distil-whisper/distil-large-v3", 1280, "English; the encoder of whisper-large-v3", "MIT", data=_DISTILLED
    ),
}
MODEL_TYPES = ("whisper",)


def load(name: str, options: EncoderOptions) -> Encoder:
    """A Whisper encoder by short name, hub id or folder."""
    allowed = {"layers": [options.layers], "pooling": ["mean", STATISTICS], "window": WINDOWS}
    known, found = find_model(name, options, "whisper", CHECKPOINTS, MODEL_TYPES, "a Whisper model", **allowed)
    from ser.extract.models.whisper import Whisper

    return Whisper(known, found, options)


def example(folder: Path) -> Path:
    """Write a tiny model as `openai/whisper-tiny`: encoder and decoder, in half precision."""
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    size = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 1, "vocab_size": 60}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    save_model(folder, WhisperForConditionalGeneration, WhisperConfig(**size, **heads, **ids), "float16")
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    return folder

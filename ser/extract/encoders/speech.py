"""Self-supervised speech models of the Wav2Vec2 kind, through transformers: Wav2Vec2, XLS-R, HuBERT, WavLM, data2vec.

Baevski et al., NeurIPS 2020 (wav2vec 2.0, arXiv:2006.11477); Babu et al., Interspeech 2022 (XLS-R,
arXiv:2111.09296); Hsu et al., TASLP 2021 (HuBERT, arXiv:2106.07447); Chen et al., JSTSP 2022 (WavLM,
arXiv:2110.13900); Baevski et al., ICML 2022 (data2vec, arXiv:2202.03555).

Audio `(samples,)` at 16 kHz -> frames `(1 + (samples - 400) // 320, dim)`, 50 Hz. Waveforms are normalised to zero
mean and unit variance over the utterance where the checkpoint's preprocessor says so, and only there.

Batches are exact: an utterance's features are the same alone and beside others. Normalisation is of each utterance
before padding; the stem is computed utterance by utterance, or with group norms over each utterance's own frames;
the frames of padding are masked in attention and zeroed before every positional convolution (data2vec stacks five,
and what one makes of padding would reach real frames through the next).
"""

from pathlib import Path

from ser.errors import EncoderError
from ser.extract.checkpoints import is_hub_id, locate_model, parse_model_name
from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.models.loading import NEEDS, PREPROCESSOR, model_config
from ser.extract.options import DTYPES, EncoderOptions, refuse_unused, torch_device
from ser.extract.provenance import require

MODALITY = "audio"
SOURCE = "Meta AI and Microsoft; through transformers"
LICENCE = "Apache-2.0"
LEVELS = ("utterance", "frame")
CHECKPOINTS = {
    "wav2vec2-base": Checkpoint("facebook/wav2vec2-base", 768, "English read speech, LibriSpeech 960 h"),
    "wav2vec2-large": Checkpoint("facebook/wav2vec2-large", 1024, "English read speech, LibriSpeech 960 h"),
    "wav2vec2-large-lv60": Checkpoint(
        "facebook/wav2vec2-large-lv60", 1024, "English read speech, Libri-Light 53,000 h"
    ),
    "wav2vec2-large-robust": Checkpoint("facebook/wav2vec2-large-robust", 1024, "English, read and telephone speech"),
    "xlsr-53": Checkpoint("facebook/wav2vec2-large-xlsr-53", 1024, "53 languages, 56,000 h"),
    "xls-r-300m": Checkpoint("facebook/wav2vec2-xls-r-300m", 1024, "128 languages, 436,000 h"),
    "xls-r-1b": Checkpoint("facebook/wav2vec2-xls-r-1b", 1280, "128 languages, 436,000 h"),
    "hubert-base": Checkpoint("facebook/hubert-base-ls960", 768, "English read speech, LibriSpeech 960 h"),
    "hubert-large": Checkpoint("facebook/hubert-large-ll60k", 1024, "English read speech, Libri-Light 60,000 h"),
    "wavlm-base": Checkpoint("microsoft/wavlm-base", 768, "English read speech, LibriSpeech 960 h", "MIT"),
    "wavlm-base-plus": Checkpoint(
        "microsoft/wavlm-base-plus", 768, "English, 94,000 h of read speech, talks, parliament", "MIT"
    ),
    "wavlm-large": Checkpoint(
        "microsoft/wavlm-large", 1024, "English, 94,000 h of read speech, talks, parliament", "MIT"
    ),
    "data2vec-base": Checkpoint("facebook/data2vec-audio-base", 768, "English read speech, LibriSpeech 960 h"),
    "data2vec-large": Checkpoint("facebook/data2vec-audio-large", 1024, "English read speech, LibriSpeech 960 h"),
}
MODEL_TYPES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio")


def accepts(name: str) -> bool:
    """Hub ids and folders of models in general: `load` looks at what kind they are."""
    return is_hub_id(name) or _is_model_folder(name)


def _is_model_folder(name: str) -> bool:
    return (Path(name).expanduser() / "config.json").is_file()


def load(name: str, options: EncoderOptions) -> Encoder:
    """A Wav2Vec2-like model by short name, hub id or folder; Whisper where the folder or the id turns out to be one.

    Raises:
        EncoderError: the files cannot be had, are of another kind of model, or lack a weight.
    """
    require("transformers", "encoders")
    refuse_unused(options, name, layers=[options.layers], pooling=["mean"], dtype=DTYPES)
    torch_device(options.device)
    known = parse_model_name(name, "speech", CHECKPOINTS)
    found = locate_model(known, options, (*NEEDS, PREPROCESSOR))
    config = model_config(found)
    if config.get("model_type") == "whisper":
        from ser.extract.encoders import whisper

        return whisper.load(name, options)
    if config.get("model_type") not in MODEL_TYPES:
        kinds = ", ".join(MODEL_TYPES)
        raise EncoderError(
            f"{known.model} is no speech encoder", expected=f"{kinds}, whisper", found=config.get("model_type")
        )
    from ser.extract.models.speech import Speech

    return Speech(known, found, options)

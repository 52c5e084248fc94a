"""Self-supervised speech models of the Wav2Vec2 kind, through transformers: Wav2Vec2, XLS-R, HuBERT, WavLM, data2vec.

Baevski et al., NeurIPS 2020 (wav2vec 2.0, arXiv:2006.11477); Babu et al., Interspeech 2022 (XLS-R,
arXiv:2111.09296); Hsu et al., TASLP 2021 (HuBERT, arXiv:2106.07447); Chen et al., JSTSP 2022 (WavLM,
arXiv:2110.13900); Baevski et al., ICML 2022 (data2vec, arXiv:2202.03555).

Audio `(samples,)` at 16 kHz -> frames `(1 + (samples - 400) // 320, dim)`, 50 Hz. Waveforms are normalised to zero
mean and unit variance over the utterance where the checkpoint's preprocessor says so, and only there. Every
utterance is encoded by itself, so what lies beside it cannot change it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import EncoderError
from ser.extract.encoder import Checkpoint, Options
from ser.extract.frozen import DTYPES, Frozen, device, only, require, versions
from ser.extract.hubs import Found
from ser.extract.pretrained import NEEDS, load_strictly, model_config, quiet_transformers, weights_identity
from ser.extract.weights import Name, is_hub_id, locate, understand

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
PREPROCESSOR = ("preprocessor_config.json", "processor_config.json")
# Only training masks frames; without it the embedding that stands for masked ones is read by nothing.
UNUSED = r"^masked_spec_embed$"
NORMALISATION_EPS = 1e-7  # transformers' Wav2Vec2FeatureExtractor


def accepts(name: str) -> bool:
    """Hub ids and folders of models in general: `load` looks at what kind they are."""
    return is_hub_id(name) or _is_model_folder(name)


def _is_model_folder(name: str) -> bool:
    return (Path(name).expanduser() / "config.json").is_file()


def load(name: str, options: Options) -> Frozen:
    """A Wav2Vec2-like model by short name, hub id or folder; Whisper where the folder or the id turns out to be one.

    Raises:
        EncoderError: the files cannot be had, are of another kind of model, or lack a weight.
    """
    require("transformers", "encoders")
    only(options, name, layers=[options.layers], pooling=["mean"], dtype=DTYPES)
    device(options.device)
    known = understand(name, "speech", CHECKPOINTS)
    found = locate(known, options, (*NEEDS, PREPROCESSOR))
    config = model_config(found)
    if config.get("model_type") == "whisper":
        from ser.extract.encoders import whisper

        return whisper.load(name, options)
    if config.get("model_type") not in MODEL_TYPES:
        kinds = ", ".join(MODEL_TYPES)
        raise EncoderError(
            f"{known.model} is no speech encoder", expected=f"{kinds}, whisper", found=config.get("model_type")
        )
    encoder = Speech(known, found, options)
    encoder.probe()
    return encoder


class Speech(Frozen):
    """A loaded Wav2Vec2-like model."""

    modality = MODALITY

    def __init__(self, name: Name, found: Found, options: Options) -> None:
        from transformers import AutoFeatureExtractor, AutoModel

        self.model = load_strictly(AutoModel, found, options.dtype, UNUSED)
        with quiet_transformers():
            self.extractor = AutoFeatureExtractor.from_pretrained(found.folder, local_files_only=True)
        config = self.model.config
        super().__init__(name, found, options, plugin="speech", dim=config.hidden_size, depth=config.num_hidden_layers)
        self.sample_rate = int(self.extractor.sampling_rate)
        self.minimum = receptive_field(config.conv_kernel, config.conv_stride)
        # Blocks above the highest layer asked for need not run. One more is kept: transformers' versions differ in
        # whether the last hidden state has been normalised.
        del self.model.encoder.layers[max(self.layers) + 1 :]
        self.model.to(self.device)
        self.identity |= weights_identity(found, "config.json", *PREPROCESSOR)
        self.identity |= {
            "sample_rate": self.sample_rate,
            "normalise": "utterance" if self.extractor.do_normalize else None,
            "normalise_eps": NORMALISATION_EPS if self.extractor.do_normalize else None,
            "versions": versions("torch", "transformers"),
        }

    def hidden(self, audio: NDArray[np.float32]) -> list[Any]:
        values = self.extractor(audio, sampling_rate=self.sample_rate, return_tensors="pt").input_values
        output = self.model(values.to(self.device, self.model.dtype), output_hidden_states=True)
        depth = self.identity["last_layer"]
        return [(output.last_hidden_state if n == depth else output.hidden_states[n])[0] for n in self.layers]


def receptive_field(kernels: list[int], strides: list[int]) -> int:
    """Samples that the first frame of a stack of convolutions reads.

    >>> receptive_field([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2])
    400
    """
    field = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        field = (field - 1) * stride + kernel
    return field

"""The encoder of Whisper, through transformers.

Radford et al., ICML 2023 (arXiv:2212.04356). Audio `(samples,)` at 16 kHz -> log-mel spectrogram by the
checkpoint's own feature extractor -> frames `(ceil(samples / 320), dim)`, 50 Hz. Whisper reads windows of 30 s and
was trained with shorter audio padded to that; the frames of padding are left out of the result. Longer audio is
read in windows of 30 s, one after another.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import EncoderError
from ser.extract.encoder import Checkpoint, Options
from ser.extract.frozen import DTYPES, Frozen, device, only, require, versions
from ser.extract.hubs import Found
from ser.extract.pretrained import NEEDS, load_strictly, model_config, quiet_transformers, weights_identity
from ser.extract.weights import Name, locate, understand

MODALITY = "audio"
SOURCE = "OpenAI; through transformers"
LICENCE = "Apache-2.0"
LEVELS = ("utterance", "frame")
CHECKPOINTS = {
    "whisper-tiny": Checkpoint("openai/whisper-tiny", 384, "99 languages, 680,000 h, transcribed"),
    "whisper-base": Checkpoint("openai/whisper-base", 512, "99 languages, 680,000 h, transcribed"),
    "whisper-small": Checkpoint("openai/whisper-small", 768, "99 languages, 680,000 h, transcribed"),
    "whisper-medium": Checkpoint("openai/whisper-medium", 1024, "99 languages, 680,000 h, transcribed"),
    "whisper-large-v2": Checkpoint("openai/whisper-large-v2", 1280, "99 languages, 680,000 h, transcribed"),
    "whisper-large-v3": Checkpoint(
        "openai/whisper-large-v3", 1280, "99 languages, 5,000,000 h, transcribed by v2 for the most part"
    ),
}
PREPROCESSOR = ("preprocessor_config.json", "processor_config.json")
STRIDE = 2  # of the second convolution: spectrogram frames an encoder frame


def load(name: str, options: Options) -> "Whisper":
    """A Whisper encoder by short name, hub id or folder.

    Raises:
        EncoderError: the files cannot be had, are of another kind of model, or lack a weight.
    """
    require("transformers", "encoders")
    only(options, name, layers=[options.layers], pooling=["mean"], dtype=DTYPES)
    device(options.device)
    known = understand(name, "whisper", CHECKPOINTS)
    found = locate(known, options, (*NEEDS, PREPROCESSOR))
    kind = model_config(found).get("model_type")
    if kind != "whisper":
        raise EncoderError(f"{known.model} is no Whisper model", expected="whisper", found=kind)
    encoder = Whisper(known, found, options)
    encoder.probe()
    return encoder


class Whisper(Frozen):
    """A loaded Whisper encoder; the decoder is not loaded."""

    modality = MODALITY

    def __init__(self, name: Name, found: Found, options: Options) -> None:
        from transformers import AutoFeatureExtractor
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        prefix = {r"^(model\.)?encoder\.": ""}  # of the encoder within the whole model
        self.model = load_strictly(WhisperEncoder, found, options.dtype, r"$^", key_mapping=prefix)
        with quiet_transformers():
            self.extractor = AutoFeatureExtractor.from_pretrained(found.folder, local_files_only=True)
        config = self.model.config
        super().__init__(name, found, options, plugin="whisper", dim=config.d_model, depth=config.encoder_layers)
        self.sample_rate = int(self.extractor.sampling_rate)
        self.minimum = int(self.extractor.n_fft)
        del self.model.layers[max(self.layers) + 1 :]  # blocks above the highest layer asked for; one to spare
        self.model.to(self.device)
        self.identity |= weights_identity(found, "config.json", *PREPROCESSOR)
        self.identity |= {
            "sample_rate": self.sample_rate,
            "window": self.extractor.chunk_length,
            "versions": versions("torch", "transformers", "numpy"),
        }

    def hidden(self, audio: NDArray[np.float32]) -> list[Any]:
        import torch

        window = self.extractor.n_samples
        windows = [self._window(audio[first : first + window]) for first in range(0, len(audio), window)]
        return [torch.cat(parts) for parts in zip(*windows, strict=True)]

    def _window(self, audio: NDArray[np.float32]) -> list[Any]:
        """The chosen layers of at most 30 s, `(ceil(samples / 320), dim)` each."""
        mel = self.extractor(audio, sampling_rate=self.sample_rate, return_tensors="pt").input_features
        output = self.model(mel.to(self.device, self.model.dtype), output_hidden_states=True)
        frames = -(-len(audio) // (self.extractor.hop_length * STRIDE))
        depth = self.identity["last_layer"]
        states = [output.last_hidden_state if n == depth else output.hidden_states[n] for n in self.layers]
        return [state[0, :frames] for state in states]

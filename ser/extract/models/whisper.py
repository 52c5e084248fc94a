"""Whisper's encoder: transformers' own; every window has the same length, so nothing is padded that it does not know."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ser.extract.checkpoints import ModelName
from ser.extract.hubs import ModelFiles
from ser.extract.models.frozen_encoder import Frozen
from ser.extract.models.hidden_layers import HiddenLayers
from ser.extract.models.loading import PREPROCESSOR, load_extractor, load_strictly, weights_identity
from ser.extract.models.padding import padded
from ser.extract.options import EncoderOptions, torch_dtype
from ser.extract.provenance import versions

STRIDE = 2  # of the second convolution: spectrogram frames an encoder frame


class Whisper(Frozen):
    """A loaded Whisper encoder; the decoder is not loaded."""

    modality = "audio"

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        prefix = {r"^(model\.)?encoder\.": ""}  # of the encoder within the whole model
        self.model = load_strictly(WhisperEncoder, found, "float32", r"$^", key_mapping=prefix)
        self.extractor = load_extractor(found)
        config = self.model.config
        super().__init__(name, found, options, plugin="whisper", dim=config.d_model, depth=config.encoder_layers)
        self.sample_rate = int(self.extractor.sampling_rate)
        self.minimum = int(self.extractor.n_fft)
        self.window = int(self.extractor.n_samples)
        self.model.to(self.device)
        self.hidden_layers = HiddenLayers(self.model.layers, self.layers)
        self.identity |= weights_identity(found, "config.json", *PREPROCESSOR)
        self.identity |= {
            "sample_rate": self.sample_rate,
            "window": self.extractor.chunk_length,
            "versions": versions("torch", "transformers", "numpy"),
        }
        self.probe()
        self.model.to(torch_dtype(self.dtype))

    def costs(self, inputs: Sequence[int]) -> list[int]:
        """Whole windows: a short utterance is padded to one."""
        return [-(-samples // self.window) * self.window for samples in inputs]

    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        windows = [audio[k : k + self.window] for audio in inputs for k in range(0, len(audio), self.window)]
        mel = self.extractor(windows, sampling_rate=self.sample_rate, return_tensors="pt").input_features
        mel = self.moved(mel).to(self.model.dtype)
        layers = self.hidden_layers.run(lambda: self.model(mel).last_hidden_state)
        counts = [-(-len(audio) // self.window) for audio in inputs]
        frames = [-(-len(audio) // (self.extractor.hop_length * STRIDE)) for audio in inputs]
        return [
            padded([part.flatten(0, 1) for part in torch.split(layer, counts)])[:, : max(frames)] for layer in layers
        ], frames

"""w2v-BERT 2.0: transformers' own Conformer, driven by its parts, on spectrograms that are made of each utterance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ser.errors import EncoderError
from ser.extract.checkpoints import ModelName
from ser.extract.hubs import ModelFiles
from ser.extract.models.frozen_encoder import Frozen, HiddenLayers
from ser.extract.models.kaldi_bands import traced_bands
from ser.extract.models.loading import PREPROCESSOR, load_extractor, load_strictly, weights_identity
from ser.extract.models.padding import padded, valid
from ser.extract.options import EncoderOptions, torch_dtype
from ser.extract.provenance import versions

# Only training masks frames; without it the embedding that stands for masked ones is read by nothing.
UNUSED = r"^masked_spec_embed$"
FRAME, HOP = 400, 160  # samples; fixed in transformers' SeamlessM4TFeatureExtractor
VARIANCE_EPS = 1e-7  # of the same


class W2vBert(Frozen):
    """A loaded w2v-BERT encoder, driven by its parts: feature projection and Conformer blocks."""

    modality = "audio"

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        from transformers import Wav2Vec2BertModel

        self.model = load_strictly(Wav2Vec2BertModel, found, "float32", UNUSED)
        self.extractor = load_extractor(found)
        config = self.model.config
        if config.add_adapter or config.use_intermediate_ffn_before_adapter:
            raise EncoderError(
                f"{found.folder} has an adapter behind its encoder, which joins frames",
                expected="a model without one (config.json: add_adapter, use_intermediate_ffn_before_adapter)",
            )
        super().__init__(name, found, options, plugin="w2vbert", dim=config.hidden_size, depth=config.num_hidden_layers)
        self.sample_rate = int(self.extractor.sampling_rate)
        self.stride = int(self.extractor.stride)
        self.minimum = FRAME + HOP * (max(self.stride, 2) - 1)  # the variance of a band takes two frames
        self.model.to(self.device)
        self.identity |= weights_identity(found, "config.json", *PREPROCESSOR)
        self.identity |= {
            "sample_rate": self.sample_rate,
            "normalise": "bands over the utterance",
            "versions": versions("torch", "transformers", "numpy"),
        }
        states = self.untouched(self.model, lambda piece: self._extracted(piece).to(self.device))
        untouched = [s[0, : len(self._spectrogram(piece))] for s, piece in zip(states, self.pieces(), strict=True)]
        self.hidden_layers = HiddenLayers(self.model.encoder.layers, self.layers)
        self.probe(untouched)
        self.model.to(torch_dtype(self.dtype))

    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        rows = [self._spectrogram(audio) for audio in inputs]
        frames = [len(row) for row in rows]
        batch = self.moved(padded(rows)).to(self.model.dtype)
        mask = valid(frames, self.device)
        return self.hidden_layers.run(lambda: self._encoded(batch, mask)), frames

    def _encoded(self, features: Tensor, mask: Tensor | None) -> Tensor:
        states, _ = self.model.feature_projection(features)
        last: Tensor = self.model.encoder(states, attention_mask=mask).last_hidden_state
        return last

    def waveform(self, audio: Tensor) -> list[Tensor]:
        bands = traced_bands(audio * 2**15, int(self.extractor.num_mel_bins), "povey")
        spread = (bands.var(1, keepdim=True) + VARIANCE_EPS).sqrt()
        normal = (bands - bands.mean(1, keepdim=True)) / spread
        count = normal.shape[1] // self.stride
        stacked = normal[:, : count * self.stride].reshape(normal.shape[0], count, self.stride * normal.shape[2])
        return self.hidden_layers.run(lambda: self._encoded(stacked, None))

    def _spectrogram(self, audio: NDArray[np.float32]) -> Tensor:
        """The stacked frames of an utterance, `(frames, 160)`, without a last one that would be half padding."""
        values = self._extracted(audio)
        row: Tensor = values.input_features[0, : int(values.attention_mask.sum())]
        return row

    def _extracted(self, audio: NDArray[np.float32]) -> Any:
        return self.extractor(audio, sampling_rate=self.sample_rate, return_tensors="pt")

"""Models of the Wav2Vec2 kind: transformers' own, driven by their parts, in batches that change no feature."""

import warnings
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ser.errors import EncoderError
from ser.extract.checkpoints import ModelName
from ser.extract.hubs import ModelFiles
from ser.extract.models.distance_bias import all_long, swap
from ser.extract.models.frozen_encoder import Frozen, HiddenLayers
from ser.extract.models.loading import PREPROCESSOR, load_extractor, load_strictly, weights_identity
from ser.extract.models.padding import ValidGroupNorm, Zeroing, padded, valid
from ser.extract.models.stem import Convolution, Stem, frames_of, receptive_field
from ser.extract.options import EncoderOptions, torch_dtype
from ser.extract.provenance import versions

# Only training masks frames; without it the embedding that stands for masked ones is read by nothing.
UNUSED = r"^masked_spec_embed$"
NORMALISATION_EPS = 1e-7  # transformers' Wav2Vec2FeatureExtractor
# WavLM gives its attention a mask and a bias of different types, which torch takes, and remarks on.
warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask")


class Speech(Frozen):
    """A loaded Wav2Vec2-like model, driven by its parts: feature extractor, feature projection, encoder."""

    modality = "audio"
    stem: Stem | None
    norms: list[ValidGroupNorm]

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        from transformers import AutoModel

        self.model = load_strictly(AutoModel, found, "float32", UNUSED)
        self.extractor = load_extractor(found)
        config = self.model.config
        if getattr(config, "add_adapter", False):
            raise EncoderError(
                f"{found.folder} has an adapter behind its encoder, which joins frames",
                expected="a model without one (config.json: add_adapter)",
            )
        super().__init__(name, found, options, plugin="speech", dim=config.hidden_size, depth=config.num_hidden_layers)
        self.sample_rate = int(self.extractor.sampling_rate)
        self.minimum = receptive_field(config.conv_kernel, config.conv_stride)
        self.model.to(self.device)
        self.identity |= weights_identity(found, "config.json", *PREPROCESSOR)
        self.identity |= {
            "sample_rate": self.sample_rate,
            "normalise": "utterance" if self.extractor.do_normalize else None,
            "normalise_eps": NORMALISATION_EPS if self.extractor.do_normalize else None,
            "versions": versions("torch", "transformers"),
        }
        states = self.untouched(self.model, lambda piece: {"input_values": self._values(piece)[None].to(self.device)})
        untouched = [state[0] for state in states]
        self.hidden_layers = HiddenLayers(self.model.encoder.layers, self.layers)
        positions = [m for m in self.model.encoder.pos_conv_embed.modules() if isinstance(m, nn.Conv1d)]
        for convolution in positions:
            if parametrize.is_parametrized(convolution, "weight"):  # weight norm, else computed in every pass
                parametrize.remove_parametrizations(convolution, "weight")
        self.zeroing = Zeroing(positions)
        long = swap(self.model.encoder.layers) if config.model_type == "wavlm" else []
        products = self.device == "cpu"
        self.exact_stem(products)
        self.probe(untouched)
        if long:
            with all_long(long):
                self.probe(untouched)
        self.model.to(torch_dtype(self.dtype))
        self.exact_stem(products)

    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        config = self.model.config
        rows = [self._values(audio) for audio in inputs]
        frames = [frames_of(len(row), config.conv_kernel, config.conv_stride) for row in rows]
        if self.stem is not None:
            features = padded([self.stem(row.to(self.device)) for row in rows])
        else:
            first = [frames_of(len(row), config.conv_kernel[:1], config.conv_stride[:1]) for row in rows]
            batch = self.moved(padded(rows))
            with ExitStack() as stack:
                for norm in self.norms:
                    stack.enter_context(norm.lengths(first))
                features = self.model.feature_extractor(batch).transpose(1, 2)
        mask = valid(frames, self.device)
        with self.zeroing.over(mask):
            return self.hidden_layers.run(lambda: self._encoded(features, mask)), frames

    def waveform(self, audio: Tensor) -> list[Tensor]:
        if self.extractor.do_normalize:
            centre = audio - audio.mean(1, keepdim=True)
            audio = centre / (centre.square().mean(1, keepdim=True) + NORMALISATION_EPS).sqrt()
        features = self.model.feature_extractor(audio).transpose(1, 2)
        return self.hidden_layers.run(lambda: self._encoded(features, None))

    def _encoded(self, features: Tensor, mask: Tensor | None) -> Tensor:
        projected = self.model.feature_projection(features)
        states = projected[0] if isinstance(projected, tuple) else projected  # HuBERT gives no second
        last: Tensor = self.model.encoder(states, attention_mask=mask).last_hidden_state
        return last

    def _values(self, audio: NDArray[np.float32]) -> Tensor:
        """The audio as the model reads it, `(samples,)`."""
        values = self.extractor(audio, sampling_rate=self.sample_rate, return_tensors="pt").input_values
        row: Tensor = values[0].to(self.model.dtype)
        return row

    def exact_stem(self, products: bool) -> None:
        """Have the stem computed as products, or by the library with other group norms; of the weights as they are."""
        layers = self.model.feature_extractor.conv_layers
        self.stem, self.norms = None, []
        if products:
            self.stem = Stem([Convolution(c.conv, getattr(c, "layer_norm", None), c.activation) for c in layers])
            return
        for layer in layers:
            if isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm):
                layer.layer_norm = ValidGroupNorm(layer.layer_norm)
                self.norms.append(layer.layer_norm)

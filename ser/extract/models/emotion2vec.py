"""A checkpoint of emotion2vec, loaded strictly."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ser.extract.checkpoints import ModelName, sha256
from ser.extract.hubs import ModelFiles
from ser.extract.models.emotion2vec_network import Emotion2vecNet
from ser.extract.models.frozen_encoder import Frozen
from ser.extract.models.funasr_checkpoint import build, checkpoint_file, fill, read_config, read_state
from ser.extract.models.stem import receptive_field
from ser.extract.options import EncoderOptions, torch_dtype
from ser.extract.provenance import versions

SAMPLE_RATE = 16000
NORMALISATION_EPS = 1e-5
# What features depend on. A checkpoint also has its pre-training's decoder, and a classifier where it was fine-tuned.
_AUDIO = "modality_encoders.AUDIO."
_PARTS = ("local_encoder", "project_features", "relative_positional_encoder", "context_encoder", "extra_tokens", "alibi")
CONFIG = "the config.yaml of an emotion2vec model"
ENCODER = ("blocks.", "norm.", *(_AUDIO + part for part in _PARTS))


class Emotion2vec(Frozen):
    """A loaded emotion2vec model."""

    modality = "audio"
    sample_rate = SAMPLE_RATE

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        checkpoint = checkpoint_file(found.folder)
        config = found.folder / "config.yaml"
        settings = read_config(config, "Emotion2vec", CONFIG, "model_conf")["model_conf"]
        self.net = build(lambda: Emotion2vecNet(settings), config, CONFIG)
        fill(self.net, read_state(checkpoint), checkpoint, found, ENCODER)
        super().__init__(name, found, options, plugin="emotion2vec", dim=self.net.dim, depth=self.net.depth)
        self.normalise = bool(settings.get("normalize"))
        self.minimum = receptive_field([k for _, k, _ in self.net.audio.spec], [s for *_, s in self.net.audio.spec])
        self.values_dtype = torch.float32
        to_device(self.net, self.device, torch.float32)
        self.identity |= {
            "weights_sha256": sha256([checkpoint]),
            "settings_sha256": sha256([config]),
            "sample_rate": SAMPLE_RATE,
            "normalise": "utterance" if self.normalise else None,
            "normalise_eps": NORMALISATION_EPS if self.normalise else None,
            "versions": versions("torch"),
        }
        self.probe()
        self.values_dtype = torch_dtype(self.dtype)
        to_device(self.net, self.device, self.values_dtype)

    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        layers: tuple[list[Tensor], list[int]] = self.net([self._values(audio) for audio in inputs], self.layers)
        return layers

    @property
    def network(self) -> nn.Module:
        return self.net

    def waveform(self, audio: Tensor) -> list[Tensor]:
        if self.normalise:
            centre = audio - audio.mean(1, keepdim=True)
            audio = centre / (centre.square().mean(1, keepdim=True) + NORMALISATION_EPS).sqrt()
        return self.net.whole(audio, self.layers)

    def _values(self, audio: NDArray[np.float32]) -> Tensor:
        source = torch.from_numpy(audio)
        if self.normalise:
            source = nn.functional.layer_norm(source, source.shape, eps=NORMALISATION_EPS)
        return self.moved(source).to(self.values_dtype)


def to_device(net: Emotion2vecNet, device: str, dtype: torch.dtype) -> None:
    """Move the network; the scales of the attention's bias stay in float32."""
    scale = getattr(net.audio, "alibi_scale", None)
    kept = None if scale is None else scale.detach().clone()
    net.to(device, dtype)
    if kept is not None:
        net.audio.alibi_scale = nn.Parameter(kept.to(device), requires_grad=False)
    net.audio.prepare()

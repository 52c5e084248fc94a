"""Speaker embeddings of 3D-Speaker's checkpoints: Kaldi's bands without their mean over the utterance -> one vector."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ser.extract.checkpoints import ModelName, sha256
from ser.extract.hubs import ModelFiles
from ser.extract.models.campplus import CamPlusPlus
from ser.extract.models.ecapa import Ecapa
from ser.extract.models.eres2net import ERes2NetV2
from ser.extract.models.frozen_encoder import Frozen
from ser.extract.models.funasr_checkpoint import State, build, fill, read_state
from ser.extract.models.kaldi_bands import FRAME, HOP, SAMPLE_RATE, frames_of, kaldi_bands
from ser.extract.options import EncoderOptions, torch_dtype
from ser.extract.provenance import versions

# A weight that no other of the networks has, and the network. It is made of a checkpoint's weights, of which the shapes alone
# are read; a KeyError says that they are of another.
Network = CamPlusPlus | ERes2NetV2 | Ecapa
NETWORKS: dict[str, type[Network]] = {
    "xvector.tdnn.linear.weight": CamPlusPlus,
    "layer3_ds.weight": ERes2NetV2,
    "mfa.conv.conv.weight": Ecapa,
}
WEIGHTS = "the weights of a CAM++, ERes2NetV2 or ECAPA-TDNN model"


class Speaker(Frozen):
    """A loaded network of speaker embeddings."""

    modality = "audio"
    sample_rate = SAMPLE_RATE
    equal = True

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions, checkpoint: Path) -> None:
        state = read_state(checkpoint)
        self.net = build(lambda: network_of(state), checkpoint, WEIGHTS)
        fill(self.net, state, checkpoint, found, strange_to="that this network does not have")
        super().__init__(name, found, options, plugin="speaker", dim=self.net.dim, depth=1)
        self.minimum = FRAME + HOP * (self.net.least - 1)
        self.values_dtype = torch.float32
        self.net.to(self.device)
        self.identity |= {
            "weights_sha256": sha256([checkpoint]),
            "network": type(self.net).__name__,
            "pooling": "the network's",
            "sample_rate": SAMPLE_RATE,
            "normalise": "bands over the utterance",
            "dither": 0,
            "versions": versions("torch"),
        }
        self.probe()
        self.values_dtype = torch_dtype(self.dtype)
        self.net.to(self.device, self.values_dtype)

    def costs(self, inputs: Sequence[int]) -> list[int]:
        """Samples that the frames stand for: utterances of as many frames go into one batch."""
        return [HOP * frames_of(samples) for samples in inputs]

    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        rows = [kaldi_bands(audio, self.net.bands, "povey") for audio in inputs]
        vectors: list[Tensor] = [torch.empty(0)] * len(rows)
        for frames in sorted({len(row) for row in rows}):
            alike = [k for k, row in enumerate(rows) if len(row) == frames]
            batch = torch.stack([rows[k] - rows[k].mean(0) for k in alike])
            for k, vector in zip(alike, self.net(self.moved(batch).to(self.values_dtype)), strict=True):
                vectors[k] = vector
        return [torch.stack(vectors)[:, None]], [1] * len(rows)


def network_of(state: State) -> Network:
    """The network that weights belong to, with no weights yet.

    Raises:
        KeyError: of none of them.
    """
    for weight, network in NETWORKS.items():
        if weight in state:
            return network(state)
    raise KeyError(", ".join(NETWORKS))

"""Parts for ser in a package of their own: pip install ./examples/plugin. See docs/extending.md."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.options import EncoderOptions
from ser.train.adapt._base import Adaptation, Side
from ser.train.heads._base import Takes
from ser.train.losses._base import Batch, Term
from ser.train.nn.layers import Features, Input


class TwoLayers(nn.Module):
    """Two layers on the pooled features of all stores; trains one seed at a time."""

    stackable = False
    DEFAULTS: ClassVar[dict[str, Any]] = {"lr": 1e-3, "epochs": 30}
    TAKES = Takes(("pooled",))

    def __init__(self, inputs: list[Input], classes: int, hidden: int = 32) -> None:
        super().__init__()
        self.names = [i.name for i in inputs]
        self.first = nn.Linear(sum(i.dim * i.layers for i in inputs), hidden)
        self.last = nn.Linear(hidden, classes)

    def embed(self, batch: Features) -> Tensor:
        """`(1, batch, hidden)`."""
        values = [batch[name].values for name in self.names]  # (1, batch, D), or (1, batch, layers, D)
        return torch.relu(self.first(torch.cat([v.flatten(2) for v in values], dim=-1)))

    def forward(self, batch: Features) -> Tensor:
        out: Tensor = self.last(self.embed(batch))
        return out


class PlainNll(Term):
    """The negative log likelihood without class weights."""

    def forward(self, batch: Batch) -> Tensor:
        return -F.log_softmax(batch.logits, dim=-1).gather(2, batch.labels[..., None])[..., 0].mean(1)


class Loudness(Encoder):
    """The mean and the standard deviation of the level of 25 ms, natural logarithm of the root mean square."""

    MODALITY, SOURCE, LICENCE = "audio", "an example", "no weights"
    LEVELS, DIM = ("utterance",), "2"
    CHECKPOINTS: ClassVar[dict[str, Checkpoint]] = {}
    name, modality, level, dim, sample_rate, minimum = "loudness", "audio", "utterance", 2, 16000, 400
    processes = True

    def __init__(self, name: str, options: EncoderOptions) -> None:
        self.identity, self.assets = {"plugin": "loudness", "model": None, "level": "utterance"}, {}

    def encode(self, inputs: Sequence[Any]) -> list[Any]:
        return [self._encode(audio) for audio in inputs]

    def _encode(self, audio: Any) -> Any:
        windows = audio[: len(audio) // 400 * 400].reshape(-1, 400)
        level = np.log(np.sqrt((windows**2).mean(1)) + 1e-5)
        return np.array([level.mean(), level.std()], dtype=np.float32)


class MeanShift(Adaptation):
    """The squared distance of the means of both corpora's embeddings."""

    def forward(self, source: Side, target: Side, progress: float) -> Tensor:
        return (source.embedding.mean(1) - target.embedding.mean(1)).square().mean(-1)

"""EmoBox's head: linear, ReLU, mean over real frames, linear (Ma et al., Interspeech 2024).

On word pieces the first linear layer follows a learned embedding, which makes it a bag of word pieces. Pooled features
count as one frame. Several stores each have their own first layer; their means are concatenated.
"""

import torch
from torch import Tensor, nn

from ser.train.heads._base import EmbeddingHead, Takes
from ser.train.nn.layers import Dropout, Enter, Features, Input, Linear
from ser.train.nn.pooling import make_pooling

CITATION = (
    "Z. Ma, M. Chen, H. Zhang, Z. Zheng, W. Chen, X. Li, J. Ye, X. Chen, T. Hain: EmoBox: Multilingual "
    "Multi-corpus Speech Emotion Recognition Toolkit and Benchmark. Interspeech 2024. arXiv:2406.07162"
)
DEFAULTS = {"lr": 1e-3, "epochs": 60}
TAKES = Takes()


class Head(EmbeddingHead):
    """`(runs, batch, frames, D)` -> `(runs, batch, hidden)` of each store -> `(runs, batch, classes)`."""

    def __init__(
        self, inputs: list[Input], classes: int, hidden: int = 256, dropout: float = 0.0, pooling: str = "mean"
    ) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.enter = nn.ModuleList(Enter(i) for i in inputs)
        self.project = nn.ModuleList(Linear(e.size, hidden) for e in self.enter)  # type: ignore[arg-type]
        self.pool = nn.ModuleList(make_pooling(pooling, i, hidden) for i in inputs)
        self.dropout = Dropout(dropout)
        self.output = Linear(sum(p.size for p in self.pool), classes)  # type: ignore[misc]

    def embed(self, batch: Features) -> Tensor:
        """The pooled frames of all stores, `(runs, batch, hidden x stores)` of means."""
        pooled = [
            pool(torch.relu(project(self.dropout(enter(batch[n])))), batch[n].mask)
            for n, enter, project, pool in zip(self.inputs, self.enter, self.project, self.pool, strict=True)
        ]
        return torch.cat(pooled, dim=-1)

"""Early fusion: each modality is projected to a common size, the means over frames are concatenated, an MLP classifies.

Snoek, Worring & Smeulders, ACM Multimedia 2005, compare it with late fusion. It is the simple fusion that attention has to
beat: for each store linear, LayerNorm, GELU, dropout to H; mean over real frames; concatenation; linear, ReLU, dropout, linear.
"""

import torch
from torch import Tensor, nn

from ser.train.heads._base import Takes
from ser.train.nn.layers import Classifier, Features, Input, Project
from ser.train.nn.pooling import make_pooling

DEFAULTS = {"lr": 5e-4, "epochs": 60}
TAKES = Takes()


class Head(nn.Module):
    """`(runs, batch, [frames,] D)` of each store -> `(runs, batch, classes)`."""

    def __init__(
        self, inputs: list[Input], classes: int, hidden: int = 384, dropout: float = 0.3, pooling: str = "mean"
    ) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.project = nn.ModuleList(Project(i, hidden, dropout) for i in inputs)
        self.pool = nn.ModuleList(make_pooling(pooling, i, hidden) for i in inputs)
        size = sum(p.size for p in self.pool)  # type: ignore[misc]
        self.classifier = Classifier(size, classes, (hidden,), dropout)

    def embed(self, batch: Features) -> Tensor:
        """The hidden layer of the classifier, `(runs, batch, H)`."""
        stores = zip(self.inputs, self.project, self.pool, strict=True)
        pooled = [pool(project(batch[n]), batch[n].mask) for n, project, pool in stores]
        return self.classifier.embed(torch.cat(pooled, dim=-1))

    def forward(self, batch: Features) -> Tensor:
        return self.classifier.classify(self.embed(batch))

"""Early fusion: each modality is projected to a common size, the means are concatenated, an MLP classifies.

This is the "simple fusion" that attention has to beat: per store linear, LayerNorm, GELU, dropout to H; mean over real
frames; concatenation; linear, ReLU, dropout, linear.
"""

import torch
from torch import Tensor, nn

from ser.train.nn.head import Classifier
from ser.train.nn.layers import Dropout, Enter, Feature, Input, LayerNorm, Linear, mean

DEFAULTS = {"lr": 5e-4, "epochs": 60}


class Head(nn.Module):
    """`(runs, batch, [frames,] D)` a store -> `(runs, batch, classes)`."""

    def __init__(self, inputs: list[Input], classes: int, hidden: int = 384, dropout: float = 0.3) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.project = nn.ModuleList(Project(i, hidden, dropout) for i in inputs)
        self.classifier = Classifier(hidden * len(inputs), classes, (hidden,), dropout)

    def embed(self, batch: dict[str, Feature]) -> Tensor:
        """The hidden layer of the classifier, `(runs, batch, H)`."""
        means = [mean(p(batch[n]), batch[n].mask) for n, p in zip(self.inputs, self.project, strict=True)]
        return self.classifier.embed(torch.cat(means, dim=-1))

    def forward(self, batch: dict[str, Feature]) -> Tensor:
        return self.classifier.classify(self.embed(batch))


class Project(nn.Module):
    """Linear, LayerNorm, GELU, dropout: a store's features to a common size H."""

    def __init__(self, source: Input, hidden: int, dropout: float) -> None:
        super().__init__()
        self.enter = Enter(source)
        self.linear = Linear(self.enter.size, hidden)
        self.norm = LayerNorm(hidden)
        self.dropout = Dropout(dropout)

    def forward(self, feature: Feature) -> Tensor:
        out: Tensor = self.dropout(nn.functional.gelu(self.norm(self.linear(self.enter(feature)))))
        return out

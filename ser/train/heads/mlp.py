"""Multi-layer perceptron on mean-pooled features: in-512-256-K with ReLU, and dropout of the inputs too (Srivastava 2014).

Features of several stores are concatenated; framewise ones are averaged over their real frames first.
"""

import torch
from torch import Tensor, nn

from ser.train.heads._base import Takes, sizes
from ser.train.nn.layers import Classifier, Dropout, Enter, Features, Input
from ser.train.nn.sequences import mean

DEFAULTS = {"lr": 1e-3, "epochs": 40}
TAKES = Takes()


class Head(nn.Module):
    """Logits of the concatenated mean features: `(runs, batch, sum of D)` -> `(runs, batch, classes)`."""

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        hidden: str = "512,256",
        dropout: float = 0.5,
        input_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.enter = nn.ModuleList(Enter(i) for i in inputs)
        self.dropout = Dropout(input_dropout)
        self.classifier = Classifier(sum(e.size for e in self.enter), classes, sizes(hidden), dropout)  # type: ignore[misc]

    def embed(self, batch: Features) -> Tensor:
        """The last hidden layer, `(runs, batch, last hidden size)`."""
        pooled = [mean(enter(batch[n]), batch[n].mask) for n, enter in zip(self.inputs, self.enter, strict=True)]
        return self.classifier.embed(self.dropout(torch.cat(pooled, dim=-1)))

    def forward(self, batch: Features) -> Tensor:
        return self.classifier.classify(self.embed(batch))

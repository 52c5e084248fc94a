"""Multi-layer perceptron on mean-pooled features: in-512-256-K with ReLU, and dropout of the inputs too (Srivastava 2014).

Features of several stores are concatenated; framewise ones are averaged over their real frames first.
"""

import torch
from torch import Tensor, nn

from ser.train.nn.head import Classifier, sizes
from ser.train.nn.layers import Dropout, Enter, Feature, Input, mean

DEFAULTS = {"lr": 1e-3, "epochs": 40}


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

    def embed(self, batch: dict[str, Feature]) -> Tensor:
        """The last hidden layer, `(runs, batch, last hidden size)`."""
        pooled = [mean(enter(batch[n]), batch[n].mask) for n, enter in zip(self.inputs, self.enter, strict=True)]
        return self.classifier.embed(self.dropout(torch.cat(pooled, dim=-1)))

    def forward(self, batch: dict[str, Feature]) -> Tensor:
        return self.classifier.classify(self.embed(batch))

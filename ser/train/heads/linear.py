"""Linear probe: one linear layer on mean-pooled features, the weakest head and the plainest comparison (Alain & Bengio 2017).

Features of several stores are concatenated; framewise ones are averaged over their real frames first.
"""

import torch
from torch import Tensor, nn

from ser.train.heads._base import Takes
from ser.train.nn.layers import Enter, Features, Input, Linear
from ser.train.nn.sequences import mean

DEFAULTS = {"lr": 1e-2, "weight_decay": 0.01, "epochs": 100}
TAKES = Takes()


class Head(nn.Module):
    """Logits of the concatenated mean features: `(runs, batch, sum of D)` -> `(runs, batch, classes)`."""

    def __init__(self, inputs: list[Input], classes: int) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.enter = nn.ModuleList(Enter(i) for i in inputs)
        self.output = Linear(sum(e.size for e in self.enter), classes)  # type: ignore[misc]

    def forward(self, batch: Features) -> Tensor:
        pooled = [mean(enter(batch[n]), batch[n].mask) for n, enter in zip(self.inputs, self.enter, strict=True)]
        out: Tensor = self.output(torch.cat(pooled, dim=-1))
        return out

"""Linear probe: one linear layer on pooled features, the weakest head and the plainest comparison (Alain & Bengio 2017).

Features of several stores are concatenated; framewise ones are pooled over their real frames first
(`pooling`, the mean).
"""

from torch import Tensor, nn

from ser.train.heads._base import Takes
from ser.train.nn.layers import Enter, Features, Input, Linear, concatenate
from ser.train.nn.pooling import make_pooling

DEFAULTS = {"lr": 1e-2, "weight_decay": 0.01, "epochs": 100}
TAKES = Takes()
POOLS_FIRST = True


class Head(nn.Module):
    """Logits of the concatenated pooled features: `(runs, batch, sum of D)` -> `(runs, batch, classes)`."""

    def __init__(self, inputs: list[Input], classes: int, pooling: str = "mean") -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.enter = nn.ModuleList(Enter(i) for i in inputs)
        self.pool = nn.ModuleList(make_pooling(pooling, i, e.size) for i, e in zip(inputs, self.enter, strict=True))  # type: ignore[arg-type]
        self.output = Linear(sum(p.size for p in self.pool), classes)  # type: ignore[misc]

    def forward(self, batch: Features) -> Tensor:
        stores = zip(self.inputs, self.enter, self.pool, strict=True)
        pooled = [pool(enter(batch[n]), batch[n].mask) for n, enter, pool in stores]
        out: Tensor = self.output(concatenate(pooled))
        return out

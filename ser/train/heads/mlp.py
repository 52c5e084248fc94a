"""Multi-layer perceptron on pooled features: in-512-256-K with ReLU, and dropout of the inputs too (Srivastava 2014).

Features of several stores are concatenated; framewise ones are pooled over their real frames first
(`pooling`, the mean).
"""

from torch import Tensor, nn

from ser.train.heads._base import Takes, sizes
from ser.train.nn.layers import Classifier, Dropout, Enter, Features, Input, concatenate
from ser.train.nn.pooling import make_pooling

DEFAULTS = {"lr": 1e-3, "epochs": 40}
TAKES = Takes()
POOLS_FIRST = True


class Head(nn.Module):
    """Logits of the concatenated pooled features: `(runs, batch, sum of D)` -> `(runs, batch, classes)`."""

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        hidden: str = "512,256",
        dropout: float = 0.5,
        input_dropout: float = 0.2,
        pooling: str = "mean",
    ) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.enter = nn.ModuleList(Enter(i) for i in inputs)
        self.pool = nn.ModuleList(make_pooling(pooling, i, e.size) for i, e in zip(inputs, self.enter, strict=True))  # type: ignore[arg-type]
        self.dropout = Dropout(input_dropout)
        self.classifier = Classifier(sum(p.size for p in self.pool), classes, sizes(hidden), dropout)  # type: ignore[misc]

    def embed(self, batch: Features) -> Tensor:
        """The last hidden layer, `(runs, batch, last hidden size)`."""
        stores = zip(self.inputs, self.enter, self.pool, strict=True)
        pooled = [pool(enter(batch[n]), batch[n].mask) for n, enter, pool in stores]
        return self.classifier.embed(self.dropout(concatenate(pooled)))

    def forward(self, batch: Features) -> Tensor:
        return self.classifier.classify(self.embed(batch))

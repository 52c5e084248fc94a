"""Valence, arousal and dominance from the embedding: 1 - CCC (Lin 1989), as Atmaja & Akagi (2020) train.

A linear layer on the embedding predicts the three. The concordance correlation coefficient of a dimension,
2 cov(x, y) / (var x + var y + (mean x - mean y)^2), is taken over the utterances of the batch that have a value; the loss is
the mean of 1 - CCC over the dimensions with two such utterances or more, and 0 where there is none. Values are standardised
by those of the training part, which changes no CCC. With mixup they are mixed as the features are.
"""

import torch
from torch import Tensor

from ser.results.metrics.measures import concordance
from ser.train.losses._base import Batch, Term
from ser.train.nn.layers import Linear

EPSILON = 1e-8


class Loss(Term):
    reads_embedding = True
    reads_vad = True

    def __init__(self, classes: int, size: int) -> None:
        super().__init__(classes, size)
        self.predict = Linear(size, 3)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.embedding is not None
        assert batch.vad is not None
        known = ~batch.vad.isnan()
        enough = known.sum(1) >= 2
        losses = torch.where(enough, 1 - batch_ccc(self.predict(batch.embedding), batch.vad, known), 0)
        return losses.sum(1) / enough.sum(1).clamp_min(1)


def batch_ccc(x: Tensor, y: Tensor, known: Tensor) -> Tensor:
    """CCC over the batch, `(runs, batch, 3)` -> `(runs, 3)`, of the entries that are known."""
    weight = known.to(x.dtype)
    weight = weight / weight.sum(1, keepdim=True).clamp_min(1)
    y = torch.where(known, y, 0).to(x.dtype)
    mean_x, mean_y = (x * weight).sum(1), (y * weight).sum(1)
    from_x, from_y = x - mean_x[:, None], y - mean_y[:, None]
    together = (from_x * from_y * weight).sum(1)
    spread = ((from_x.square() + from_y.square()) * weight).sum(1)
    return concordance(together, spread, mean_x - mean_y, EPSILON)

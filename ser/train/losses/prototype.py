"""Learned class prototypes: cross-entropy over distances, and a pull to one's own (Yang et al., CVPR 2018).

With the embedding z and one prototype m_k per class, d_k = |z - m_k|^2. An utterance's loss is -log softmax(-d)_y + 0.001 d_y,
the paper's distance-based cross-entropy with gamma 1 and its prototype loss; the mean is over the batch. Prototypes start at
random with a length of about 1. Differences: the paper allows several prototypes per class, and classifies by them.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.train.losses._base import Batch, Term
from ser.train.nn.layers import row_products

PULL = 0.001


class Loss(Term):
    reads_embedding = True

    def __init__(self, classes: int, size: int) -> None:
        super().__init__(classes, size)
        self.prototypes = nn.Parameter(torch.randn(1, classes, size) / math.sqrt(size))

    def forward(self, batch: Batch) -> Tensor:
        z, m = batch.embedding, self.prototypes
        assert z is not None
        distances = z.square().sum(-1, keepdim=True) - row_products(2 * z, m) + m.square().sum(-1)[:, None]
        own = batch.labels[..., None]
        losses = -F.log_softmax(-distances, dim=-1).gather(2, own) + PULL * distances.gather(2, own)
        return losses.mean((1, 2))

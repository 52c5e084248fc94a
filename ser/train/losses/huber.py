"""Huber's loss (Annals of Mathematical Statistics 1964): squared up to one standard deviation of the ratings, linear beyond.

0.5 d^2 where |d| <= 1, else |d| - 0.5, mean over utterances and dimensions.
"""

import torch.nn.functional as F
from torch import Tensor

from ser.train.losses._base import Batch, Term


class Loss(Term):
    targets = ("dimensions",)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        return F.huber_loss(batch.logits, batch.target, reduction="none").mean((-1, -2))

"""Divergence of the votes q from the prediction p (Kullback & Leibler 1951): sum_k q_k log(q_k / p_k), mean over the batch.

Its gradient is that of the cross-entropy with q, without weights and smoothing; its value is 0 where p is q.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ser.train.losses._base import Batch, Term


class Loss(Term):
    targets = ("votes",)
    refuses_weights = True

    def forward(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        q = batch.target
        return (torch.xlogy(q, q) - q * F.log_softmax(batch.logits, dim=-1)).sum(-1).mean(-1)

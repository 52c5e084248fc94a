"""Class-balanced focal loss: focal (Lin et al., ICCV 2017) with weights by effective numbers (Cui et al., CVPR 2019).

An utterance's loss is w_y (1 - p_y)^gamma (-log p_y), the mean over a batch divides by its utterances. gamma = 2. Class c
with n_c training utterances weighs (1 - beta) / (1 - beta^n_c), scaled so that the weights of the classes that are there
add up to their number; beta = 0.9999, with which a class of up to some thousand utterances weighs nearly 1 / n_c.

Both papers use one sigmoid per class. Here p is the softmax over classes, as heads predict one class of several. The class
weights and the label smoothing of the configuration are cross-entropy's, and are not used.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ser.train.losses._base import Batch, Term

BETA = 0.9999
GAMMA = 2.0


class Loss(Term):
    def forward(self, batch: Batch) -> Tensor:
        logp = F.log_softmax(batch.logits, dim=-1).gather(2, batch.labels[..., None])[..., 0]
        own = weights(batch.counts).gather(1, batch.labels)
        # Where p is 1 the base is 0 up to rounding: below 0 a power would lose its gradient, hence expm1.
        return (own * (-torch.expm1(logp)) ** GAMMA * -logp).mean(1)


def weights(counts: Tensor) -> Tensor:
    """Weights by effective numbers, `(..., classes)`; a class without an utterance has weight 0."""
    there = counts > 0
    effective = -torch.expm1(counts.clamp_min(1).float() * math.log(BETA))  # 1 - beta^n, exact for small n too
    raw = there / effective
    return raw * there.sum(-1, keepdim=True) / raw.sum(-1, keepdim=True)

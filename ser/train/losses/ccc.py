"""1 - CCC (Lin 1989), mean over the dimensions, as Atmaja & Akagi (2020) and the Odyssey 2024 baselines train.

CCC is 2 cov(x, y) / (var x + var y + (mean x - mean y)^2), over the utterances of the batch. Batches of few utterances
estimate it with a bias: `benchmarks/targets.md` has it for sizes from 4 to 256.
"""

import torch
from torch import Tensor

from ser.train.losses._base import Batch, Term
from ser.train.losses.vad import batch_ccc


class Loss(Term):
    targets = ("dimensions",)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        return (1 - batch_ccc(batch.logits, batch.target, torch.ones_like(batch.target, dtype=torch.bool))).mean(-1)

"""Asymmetric loss for several labels (Ridnik et al., ICCV 2021): absent labels that are clearly absent count little.

-y log p - (1 - y) p_m^4 log(1 - p_m) with p_m = max(p - 0.05, 0), mean over utterances and labels; the paper's default
(gamma+ 0, gamma- 4, margin 0.05). Class weights weigh the utterances that have a label.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ser.train.losses._base import Batch, Term

MARGIN = 0.05


class Loss(Term):
    targets = ("labels",)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        logp = F.logsigmoid(batch.logits)
        # Not a sigmoid and a power: torch computes the last numbers of a tensor by other instructions than the others, and
        # so a run of a stack by others than the run alone.
        shifted = (logp.exp() - MARGIN).clamp_min(0)
        lacks = shifted.square().square() * torch.log1p(-shifted)
        has = batch.weights[:, None] * batch.target * logp
        return -(has + (1 - batch.target) * lacks).mean((-1, -2))

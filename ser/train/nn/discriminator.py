"""What tells source from target in adversarial adaptation, and its loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.train.nn.layers import Linear


class Discriminator(nn.Module):
    """Inputs-256-128-1 with ReLU; above 0 is target: `(runs, batch, inputs)` -> `(runs, batch)`."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first, self.second, self.last = Linear(inputs, 256), Linear(256, 128), Linear(128, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.second(torch.relu(self.first(x))))
        # Not self.last(hidden): a product with a single column has other last bits alone than in a stack of runs.
        return (hidden * self.last.weight.transpose(1, 2)).sum(-1) + self.last.bias[..., 0]


def domain_loss(scores: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of telling the corpora apart: the mean over source plus the mean over target, 2 log 2 by guessing.

    (Ganin et al., JMLR 2016, equation 9; many implementations take the mean over both, half of it.)

    Args:
        scores: of equally many source and target utterances, source first, `(runs, 2 batch)`.
        weights: of the utterances, `(runs, 2 batch)`, with a mean of 1 over each half; None for 1.

    Returns:
        `(runs,)`.
    """
    source, target = scores.chunk(2, dim=1)
    losses = torch.cat([F.softplus(source), F.softplus(-target)], dim=1)
    return (losses if weights is None else losses * weights).mean(1) * 2

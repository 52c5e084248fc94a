"""Attentive statistics pooling: a sequence becomes its weighted mean and standard deviation, with weights that are learned.

Okabe, Koshinaka and Shinoda, Interspeech 2018, equations 1 to 6: e_t = v . tanh(W h_t + b), a = softmax(e),
m = sum a_t h_t, s = sqrt(sum a_t h_t^2 - m^2).
"""

import math

import torch
from torch import Tensor, nn

from ser.train.nn.layers import Linear

FLOOR = 1e-6  # added to the variance: the square root has no finite gradient at 0


class Score(nn.Module):
    """One number of each vector, v . x (+ b): `(runs, ..., D)` -> `(runs, ...)`.

    A sum of products: the last bits of a matrix product with one column depend on how many runs there are.
    """

    def __init__(self, size: int, bias: bool) -> None:
        super().__init__()
        bound = 1 / math.sqrt(size)
        self.weight = nn.Parameter(torch.empty(1, size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(1, 1).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        ones = [1] * (x.ndim - 2)
        out: Tensor = (x * self.weight.view(len(self.weight), *ones, -1)).sum(-1)
        return out if self.bias is None else out + self.bias.view(-1, *ones)


class AttentiveStatistics(nn.Module):
    """`(runs, batch, frames, D)` -> `(runs, batch, 2 D)`: mean and standard deviation over real frames.

    The scalar bias k of the paper's equation 1 is left out, for the softmax does not depend on it; the variance is computed
    from deviations, which is the same number without the cancellation.

    Args:
        size: D.
        attention: width of the tanh layer.
    """

    def __init__(self, size: int, attention: int = 128) -> None:
        super().__init__()
        self.hidden = Linear(size, attention)
        self.score = Score(attention, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        weights = self.weights(x, mask)
        mean = torch.einsum("rbth,rbt->rbh", x, weights)
        variance = torch.einsum("rbth,rbt->rbh", (x - mean.unsqueeze(2)).square(), weights)
        return torch.cat([mean, (variance + FLOOR).sqrt()], dim=-1)

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """The weight of each frame, `(runs, batch, frames)`: 0 in padding, 1 in all."""
        scores = self.score(torch.tanh(self.hidden(x)))
        out: Tensor = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) * mask
        return out

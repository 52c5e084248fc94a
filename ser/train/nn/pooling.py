"""Pooling: the frames of an utterance as one vector, real frames only; the option `pooling` of every head that reads frames.

| option | vector | source |
| --- | --- | --- |
| `mean` | mean | |
| `mean+std` | mean and standard deviation | Snyder et al., ICASSP 2018 (x-vectors) |
| `max` | maximum of each feature | |
| `attentive` | weighted mean and standard deviation, the weights learned | Okabe et al., Interspeech 2018 |
| `multihead` | weighted means of groups of features, each group with weights of its own | India et al., Interspeech 2019 |

Sequences are `(runs, batch, frames, D)`, masks `(runs, batch, frames)`, true where a frame is real. A store that has one vector
for each utterance is not pooled.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser import registry
from ser.train.nn.layers import Input, Linear
from ser.train.nn.sequences import Scorer, mean

FLOOR = 1e-6  # added to the variance: the square root has no finite gradient at 0
ATTENTION = 128  # width of the tanh layer of attentive statistics
HEADS = 8  # groups of features of multi-head attentive pooling


class Pooling(nn.Module):
    """The base: `(runs, batch, frames, D)` and the mask -> `(runs, batch, size)`.

    Attributes:
        size: of the vector.
        store: the store whose frames are pooled; "" where that is not said.
    """

    size: int
    store = ""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        raise NotImplementedError


class Attentive(Pooling):
    """The base of a pooling with learned weights of frames."""

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """The weight of each frame, `(runs, batch, frames)` or `(runs, batch, frames, heads)`; those of an utterance add up to
        1 over frames, and are 0 in padding."""
        raise NotImplementedError


class Mean(Pooling):
    """Mean over real frames; without a mask x is pooled already."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return mean(x, mask)


class MeanAndDeviation(Pooling):
    """Mean and standard deviation over real frames, `2 D` numbers."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = 2 * size

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        centre = mean(x, mask)
        return torch.cat([centre, (mean((x - centre.unsqueeze(2)).square(), mask) + FLOOR).sqrt()], dim=-1)


class Maximum(Pooling):
    """The maximum of each feature over real frames."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        assert mask is not None
        highest = x.masked_fill(~mask[..., None], torch.finfo(x.dtype).min).amax(2)
        return highest * mask.any(-1, keepdim=True)


class AttentiveStatistics(Attentive):
    """Attentive statistics pooling, `(runs, batch, frames, D)` -> `(runs, batch, 2 D)`: weighted mean and deviation.

    Okabe, Koshinaka and Shinoda, Interspeech 2018, equations 1 to 6: e_t = v . tanh(W h_t + b), a = softmax(e),
    m = sum a_t h_t, s = sqrt(sum a_t h_t^2 - m^2). The scalar bias k of the paper's equation 1 is left out, as the softmax
    does not depend on it; the variance is computed from deviations, which is the same number without the cancellation.

    Args:
        size: D.
        attention: width of the tanh layer.
    """

    def __init__(self, size: int, attention: int = ATTENTION) -> None:
        super().__init__()
        self.size = 2 * size
        self.hidden = Linear(size, attention)
        self.score = Scorer(attention, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        assert mask is not None
        weights = self.weights(x, mask)
        mean = torch.einsum("rbth,rbt->rbh", x, weights)
        variance = torch.einsum("rbth,rbt->rbh", (x - mean.unsqueeze(2)).square(), weights)
        return torch.cat([mean, (variance + FLOOR).sqrt()], dim=-1)

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        scores = self.score(torch.tanh(self.hidden(x)))
        out: Tensor = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1) * mask
        return out


class MultiHeadAttentive(Attentive):
    """Self multi-head attentive pooling, `(runs, batch, frames, D)` -> `(runs, batch, D)`.

    India, Safari and Hernando, Interspeech 2019: the features are split into groups, one for each head; frame t has the weight
    softmax_t(h_tk . u_k) in head k, and the vector is the weighted means of all groups, side by side. The last group has fewer
    features if their number is not a multiple.

    Args:
        size: D.
        heads: groups.
    """

    def __init__(self, size: int, heads: int = HEADS) -> None:
        super().__init__()
        self.size = size
        self.width = -(-size // min(heads, size))  # features in a group
        bound = 1 / math.sqrt(self.width)
        self.query = nn.Parameter(torch.empty(1, size).uniform_(-bound, bound))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        assert mask is not None
        each = self.weights(x, mask).repeat_interleave(self.width, dim=-1)[..., : self.size]
        return (x * each).sum(2)

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        products = F.pad(x * self.query[:, None, None], (0, -self.size % self.width))
        scores = products.view(*products.shape[:-1], -1, self.width).sum(-1)
        real = mask[..., None]
        out: Tensor = scores.masked_fill(~real, torch.finfo(scores.dtype).min).softmax(2) * real
        return out


POOLINGS: dict[str, Callable[[int], Pooling]] = {
    "mean": Mean,
    "mean+std": MeanAndDeviation,
    "max": Maximum,
    "attentive": AttentiveStatistics,
    "multihead": MultiHeadAttentive,
}


def make_pooling(kind: str, source: Input, size: int, attention: int = ATTENTION) -> Pooling:
    """The pooling of a store's frames; of a store that has one vector for each utterance, that vector.

    Args:
        kind: one of `POOLINGS`.
        size: D, features of the frames as they are pooled.
        attention: width of the tanh layer of `attentive`.

    Raises:
        ConfigError: an unknown kind.
    """
    if kind not in POOLINGS:
        raise registry.unknown("pooling:", str(kind), list(POOLINGS))
    if not source.framewise:
        return Mean(size)
    pool = AttentiveStatistics(size, attention) if kind == "attentive" else POOLINGS[kind](size)
    pool.store = source.name
    return pool

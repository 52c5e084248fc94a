"""Layers with a leading run dimension: what stackable heads are built of.

Each layer does for R runs at once what its namesake in `torch.nn` does for one: inputs are `(runs, batch, ...)`, parameters
`(runs, ...)`. A head builds its layers for one run; the trainer then gives every parameter its leading R (see
`ser.train.parameters`). Initial values are those of `torch.nn`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.errors import ConfigError

EMBEDDING = 128  # size of learned word-piece embeddings


class Input(NamedTuple):
    """What a head needs to know of one store's features.

    Attributes:
        name: the store.
        modality: audio, text or visual.
        dim: features a vector.
        framewise: a sequence of vectors an utterance, or one.
        vocabulary: number of ids where the features are word pieces, else 0.
        layers: stored encoder layers; 1 where there is one vector.
    """

    name: str
    modality: str
    dim: int
    framewise: bool
    vocabulary: int = 0
    layers: int = 1


class Feature(NamedTuple):
    """A batch of one store's features.

    Attributes:
        values: `(runs, batch, D)` or `(runs, batch, layers, D)` pooled; `(runs, batch, frames, D)` framewise, 0 in padding.
        mask: `(runs, batch, frames)`, true where a frame is real; None when pooled.
    """

    values: Tensor
    mask: Tensor | None


class Linear(nn.Module):
    """x W + b for each run. Input `(runs, ..., inputs)`, output `(runs, ..., outputs)`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(1, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(1, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(x.shape[0], -1, x.shape[-1])
        return torch.baddbmm(self.bias, flat, self.weight).view(*x.shape[:-1], -1)


class LayerNorm(nn.Module):
    """Layer normalisation over the last dimension (Ba et al. 2016)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, size))
        self.bias = nn.Parameter(torch.zeros(1, size))

    def forward(self, x: Tensor) -> Tensor:
        shape = (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
        return F.layer_norm(x, x.shape[-1:]) * self.weight.view(shape) + self.bias.view(shape)


class Dropout(nn.Module):
    """Dropout whose masks come from each run's own generator (set by the trainer)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generators: Sequence[torch.Generator] = ()

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        keep = 1 - self.p
        mask = torch.empty_like(x)
        for row, generator in zip(mask, self.generators, strict=True):
            row.bernoulli_(keep, generator=generator)
        return x * mask.div_(keep)


class Embedding(nn.Module):
    """Vectors of ids: `(runs, batch, frames)` int -> `(runs, batch, frames, size)`."""

    def __init__(self, vocabulary: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, vocabulary, size) * 0.1)

    def forward(self, ids: Tensor) -> Tensor:
        return torch.stack([F.embedding(i, w) for i, w in zip(ids, self.weight, strict=True)])


class Enter(nn.Module):
    """From a store's features to dense vectors: ids are embedded, stored layers are summed with learned weights.

    The weighted sum is a softmax over layers, one weight a layer (Peters et al. 2018; as SUPERB, Yang et al. 2021).
    `size` is the dimension that comes out.
    """

    def __init__(self, source: Input, embedding: int = EMBEDDING) -> None:
        super().__init__()
        self.embedding = Embedding(source.vocabulary, embedding) if source.vocabulary else None
        self.weights = nn.Parameter(torch.zeros(1, source.layers)) if source.layers > 1 else None
        self.size = embedding if source.vocabulary else source.dim

    def forward(self, feature: Feature) -> Tensor:
        values = feature.values
        if self.embedding is not None:
            embedded: Tensor = self.embedding(values[..., 0].long())
            return embedded
        if self.weights is not None:
            return (values * self.weights.softmax(-1)[:, None, :, None]).sum(2)
        return values


class Attention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017), self or cross.

    With a single key the softmax is 1 whatever the query, so the output is the key's value: for `single=True` queries and
    keys are not computed, which is the same function with fewer parameters.

    Raises:
        ConfigError: the size is no multiple of the number of heads.
    """

    def __init__(self, size: int, heads: int, single: bool = False) -> None:
        super().__init__()
        if size % heads:
            raise ConfigError(f"attention of width {size} with {heads} heads", expected=f"a multiple of {heads}")
        self.heads = heads
        self.query = None if single else Linear(size, size)
        self.key = None if single else Linear(size, size)
        self.value = Linear(size, size)
        self.output = Linear(size, size)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """Queries from `x (runs, batch, N, H)`, keys and values from `source (runs, batch, M, H)` -> `(runs, batch, N, H)`."""
        if self.query is None or self.key is None:
            alone: Tensor = self.output(self.value(source))
            return alone.expand_as(x)
        q, k, v = (self._split(part) for part in (self.query(x), self.key(source), self.value(source)))
        keys = None if mask is None else mask.flatten(0, 1)[:, None, None, :]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys)
        out: Tensor = self.output(mixed.transpose(1, 2).reshape(x.shape))
        return out

    def weights(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """What each query gives to each key, `(runs, batch, heads, N, M)`, adding up to 1 over keys; for pictures."""
        if self.query is None or self.key is None:
            return torch.ones(*x.shape[:2], self.heads, x.shape[2], 1, device=x.device)
        q, k = self._split(self.query(x)), self._split(self.key(source))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask.flatten(0, 1)[:, None, None, :], -math.inf)
        return scores.softmax(-1).view(*x.shape[:2], *scores.shape[1:])

    def _split(self, x: Tensor) -> Tensor:
        runs, batch, length, size = x.shape
        return x.reshape(runs * batch, length, self.heads, size // self.heads).transpose(1, 2)


def mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over real frames, `(runs, batch, frames, H)` -> `(runs, batch, H)`; without a mask x is pooled already."""
    if mask is None:
        return x
    weight = mask.to(x.dtype)
    return torch.einsum("rbth,rbt->rbh", x, weight) / weight.sum(-1, keepdim=True).clamp_min(1)

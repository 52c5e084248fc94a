"""Layers with a leading run dimension: what stackable heads are built of.

Each layer does for R runs at once what its namesake in `torch.nn` does for one: inputs are `(runs, batch, ...)`, parameters
`(runs, ...)`. A head builds its layers for one run; the trainer then gives every parameter its leading R (see
`ser.train.nn.parameters`). Initial values are those of `torch.nn`.
"""

import math
import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.train.nn.draws import Draws

EMBEDDING = 128  # size of learned word-piece embeddings
STEPS = 1 << 16  # of a dropout probability: one for each value of the 16 bits that are drawn
LARGE = 1 << 12  # numbers of one run from which a layer on a CPU goes through its runs one after another


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


class Weight(nn.Parameter):
    """A weight whose gradient may be written in place: `stale` says that what is there is of an earlier step.

    Autograd adds to what is there. Where a head reads the weight itself, and no call of its layer has written a gradient in
    this step, it has to find 0: `watch` sees to that.
    """

    stale: bool = False
    watched: bool = False
    squares: list[Tensor] | None = None  # of the gradient, a sum a run, taken while it was in the cache

    def watch(self) -> None:
        """From now on clear a stale gradient before autograd adds to it."""
        if not self.watched:
            self.watched = True
            self.register_hook(partial(_clear_stale, weakref.ref(self)))  # type: ignore[no-untyped-call]


def _clear_stale(reference: "weakref.ref[Weight]", gradient: Tensor | None) -> None:
    weight = reference()
    if gradient is not None and weight is not None and weight.stale and weight.grad is not None:
        weight.grad.zero_()
        weight.stale = False
    if gradient is not None and weight is not None:
        weight.squares = None


class _Affine(torch.autograd.Function):
    """x W + b whose weight's gradient goes straight to where it is kept, not through a buffer that is then added to it.

    For large weights and small batches the buffer, its addition and the zeroing before cost as much as the product.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.weight = weight
        return torch.baddbmm(bias, x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor]:
        x, weight = ctx.saved_tensors
        ctx.weight.squares = []
        for into, source, g in zip(ctx.weight.grad, x, gradient, strict=True):
            if ctx.weight.stale:
                torch.mm(source.t(), g, out=into)
            else:
                into.addmm_(source.t(), g)
            ctx.weight.squares.append(torch.dot(into.view(-1), into.view(-1)))
        ctx.weight.stale = False
        inward = torch.bmm(gradient, weight.transpose(1, 2)) if ctx.needs_input_grad[0] else None
        return inward, None, gradient.sum(1, keepdim=True)


class Linear(nn.Module):
    """x W + b for each run. Input `(runs, ..., inputs)`, output `(runs, ..., outputs)`.

    `size` is the number of weights of one run. Where the trainer has marked the weight (`ser.train.nn.parameters`), its
    gradient is written in place.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.size = inputs * outputs
        self.weight = Weight(torch.empty(1, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(1, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(x.shape[0], -1, x.shape[-1])
        if self.weight.stale and torch.is_grad_enabled():
            out: Tensor = _Affine.apply(flat, self.weight, self.bias)  # type: ignore[no-untyped-call]
        else:
            out = torch.baddbmm(self.bias, flat, self.weight)
        return out.view(*x.shape[:-1], -1)


class LayerNorm(nn.Module):
    """Layer normalisation over the last dimension (Ba et al. 2016).

    torch's own scales and shifts on the way, but by one weight only: where a run has many numbers on a CPU, the runs go one
    after another, which is five times as fast as scaling a stack after it. Which way is taken does not depend on how many
    runs there are, as its last bits do.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, size))
        self.bias = nn.Parameter(torch.zeros(1, size))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-1:]
        if x.device.type == "cpu" and x.numel() >= LARGE * len(x):
            each = zip(x.to(self.weight.dtype).unbind(), self.weight.unbind(), self.bias.unbind(), strict=True)
            normal = [F.layer_norm(run, size, weight, bias) for run, weight, bias in each]
            return normal[0][None] if len(normal) == 1 else torch.stack(normal)
        shape = (x.shape[0], *[1] * (x.ndim - 2), *size)
        return F.layer_norm(x, size) * self.weight.view(shape) + self.bias.view(shape)


class Dropout(nn.Module):
    """Dropout whose masks come from each run's own stream (set by the trainer).

    On a CPU a stream is a NumPy bit generator, of which each feature takes 16 bits: eight times as fast as torch's own draws,
    with the probability rounded to 1/65536 and the scale that belongs to it. On an NVIDIA GPU the bits are drawn for many
    layers at a time (`ser.train.nn.draws`), on Apple's by a torch generator.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generators: Sequence[torch.Generator | np.random.BitGenerator] | Draws = ()

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        keep = max(1, round((1 - self.p) * STEPS))
        if isinstance(self.generators, Draws):
            kept = self.generators.below(keep, x[0].numel()).view(x.shape)
            return x * kept.to(x.dtype).mul_(STEPS / keep)
        mask = torch.empty_like(x)
        for row, stream in zip(mask, self.generators, strict=True):
            if isinstance(stream, torch.Generator):
                row.bernoulli_(keep / STEPS, generator=stream)
            else:
                bits = stream.random_raw(-(-row.numel() // 4)).view(np.uint16)[: row.numel()]
                row.copy_(torch.from_numpy((bits < keep).view(np.uint8)).view(row.shape))
        return x * mask.mul_(STEPS / keep)


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
    `size` is the dimension that comes out, `store` the store's name.
    """

    def __init__(self, source: Input, embedding: int = EMBEDDING) -> None:
        super().__init__()
        self.store = source.name
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


def mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over real frames, `(runs, batch, frames, H)` -> `(runs, batch, H)`; without a mask x is pooled already."""
    if mask is None:
        return x
    weight = mask.to(x.dtype)
    return torch.einsum("rbth,rbt->rbh", x, weight) / weight.sum(-1, keepdim=True).clamp_min(1)

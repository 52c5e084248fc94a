"""Layers with a leading run dimension, of which stackable heads are built.

Each layer does for R runs at once the work that its namesake in `torch.nn` does for one: inputs are `(runs, batch, ...)`,
parameters `(runs, ...)`. A head builds its layers for one run; the trainer then gives every parameter its leading R (see
`ser.train.nn.parameters`). Initial values are those of `torch.nn`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.train.nn.inplace_gradients import Weight, affine
from ser.train.nn.kernels import passes
from ser.train.nn.streams import GpuBits

EMBEDDING = 128  # size of learned word-piece embeddings
STEPS = 1 << 16  # of a dropout probability: one for each value of the 16 bits that are drawn
LARGE = 1 << 12  # numbers of one run from which a layer on a CPU goes through its runs one after another


class Input(NamedTuple):
    """The facts of one store's features that a head is built by.

    Attributes:
        name: the store.
        modality: audio, text or visual.
        dim: features per vector.
        framewise: an utterance is a sequence of vectors, not one vector.
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


Features = dict[str, Feature]  # a batch, by store


def is_traced() -> bool:
    """True while a head is traced for export: then nothing may depend on the sizes of the example, or be written in place."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Vectors of several stores as one, `(runs, batch, sum of D)`; a copy only where they do not lie so in memory already."""
    first, *others = parts
    if not others:
        return first
    width, place = sum(part.shape[-1] for part in parts), first.storage_offset()
    block = not is_traced() and first.stride()[-2:] == (width, 1)
    for part in parts:
        alike = part.stride() == first.stride() and not part.requires_grad
        here = part.storage_offset() == place and part.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        block, place = block and alike and here, place + part.shape[-1]
    return first.as_strided((*first.shape[:-1], width), first.stride()) if block else torch.cat(list(parts), dim=-1)


def row_products(x: Tensor, y: Tensor) -> Tensor:
    """x y^T of each run, `(runs, n, D)` and `(runs, m, D)` -> `(runs, n, m)`, with D filled up with zeros to a multiple of 4.

    Of other sizes a run of a stack would have other last bits than the run alone, see `turned` in
    `ser.train.nn.inplace_gradients`.
    """
    if missing := -x.shape[-1] % 4:
        x, y = F.pad(x, (0, missing)), F.pad(y, (0, missing))
    return torch.bmm(x, y.transpose(1, 2))


class Linear(nn.Module):
    """x W + b for each run. Input `(runs, ..., inputs)`, output `(runs, ..., outputs)`.

    `size` is the number of weights of one run. The gradients of large weights are written in place in training, see
    `ser.train.nn.inplace_gradients`.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.size = inputs * outputs
        self.weight = Weight(torch.empty(1, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(1, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(x.shape[0], -1, x.shape[-1])
        return affine(flat, self.weight, self.bias).view(*x.shape[:-1], -1)


class LayerNorm(nn.Module):
    """Layer normalisation over the last dimension (Ba et al. 2016).

    torch's own scales and shifts on the way, but by one weight only: where a run has many numbers on a CPU, the runs go one
    after another, which is five times as fast as scaling a stack after it. The choice does not depend on the number of runs,
    as the two ways differ in the last bits.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, size))
        self.bias = nn.Parameter(torch.zeros(1, size))

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight.shape[-1:]  # that of x, and a constant where the layer is traced
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
    layers at a time (`ser.train.nn.streams.GpuBits`), on Apple's by a torch generator.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.keep = max(1, round((1 - p) * STEPS))
        self.generators: Sequence[torch.Generator | np.random.BitGenerator] | GpuBits = ()

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if (draws := self.draws(x, x[0].numel())) is not None:
            out: Tensor = passes.Dropped.apply(x, draws)  # type: ignore[no-untyped-call]
            return out
        keep = self.keep
        if isinstance(self.generators, GpuBits):
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

    def of_gelu(self, x: Tensor) -> Tensor:
        """Dropout of GELU(x)."""
        draws = self.draws(x, x[0].numel())
        out: Tensor = self(F.gelu(x)) if draws is None else passes.GeluDropped.apply(x, draws)  # type: ignore[no-untyped-call]
        return out

    def draws(self, x: Tensor, numbers: int) -> passes.Draws | None:
        """The draws of a compiled pass over `numbers` of each run of such a tensor; None where there is no such pass."""
        if not self.training or self.p == 0 or isinstance(self.generators, GpuBits) or not passes.drops(x, numbers):
            return None
        streams = [stream for stream in self.generators if not isinstance(stream, torch.Generator)]
        bits = [stream.random_raw(-(-numbers // 4)) for stream in streams]
        return passes.Draws(bits, self.keep, STEPS / self.keep) if bits else None


class Embedding(nn.Module):
    """Vectors of ids: `(runs, batch, frames)` int -> `(runs, batch, frames, size)`."""

    def __init__(self, vocabulary: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, vocabulary, size) * 0.1)

    def forward(self, ids: Tensor) -> Tensor:
        return torch.stack([F.embedding(i, w) for i, w in zip(ids, self.weight, strict=True)])


class Enter(nn.Module):
    """From a store's features to dense vectors: ids are embedded, stored layers are summed with learned weights.

    The weighted sum is a softmax over layers, one for each layer (Peters et al. 2018; as SUPERB, Yang et al. 2021).
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


class Project(nn.Module):
    """Linear, LayerNorm, GELU, dropout: a store's features to a common size H."""

    def __init__(self, source: Input, hidden: int, dropout: float) -> None:
        super().__init__()
        self.enter = Enter(source)
        self.linear = Linear(self.enter.size, hidden)
        self.norm = LayerNorm(hidden)
        self.dropout = Dropout(dropout)

    def forward(self, feature: Feature) -> Tensor:
        return self.dropout.of_gelu(self.norm(self.linear(self.enter(feature))))


class Classifier(nn.Module):
    """Linear, ReLU, dropout for each hidden size, then linear to the classes: `(runs, batch, inputs)` -> logits."""

    def __init__(self, inputs: int, classes: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        widths = (inputs, *hidden)
        self.hidden = nn.ModuleList(Linear(a, b) for a, b in pairwise(widths))
        self.dropout = Dropout(dropout)
        self.output = Linear(widths[-1], classes)

    def embed(self, x: Tensor) -> Tensor:
        """The last hidden layer, before its dropout, `(runs, batch, last hidden size)`."""
        for k, layer in enumerate(self.hidden):
            x = torch.relu(layer(self.dropout(x) if k else x))
        return x

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits of an embedding."""
        out: Tensor = self.output(self.dropout(embedding) if len(self.hidden) else embedding)
        return out

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.embed(x))

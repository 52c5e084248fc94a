"""Padded sequences with a leading run dimension: means, packing, LSTMs and scores, on real frames only.

Sequences are `(runs, batch, frames, D)`, masks `(runs, batch, frames)`, true where a frame is real.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ser.train.nn.layers import is_traced

MOSTLY_REAL = 0.95  # of a batch's frames: with less padding than the rest, packing costs more than it saves


def mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over real frames, `(runs, batch, frames, H)` -> `(runs, batch, H)`; without a mask x is pooled already."""
    if mask is None:
        return x
    weight = mask.to(x.dtype)
    return torch.einsum("rbth,rbt->rbh", x, weight) / weight.sum(-1, keepdim=True).clamp_min(1)


class Packing:
    """The real frames of a padded batch, side by side: layers that work on each frame by itself then skip padding.

    Args:
        mask: `(1, batch, frames)`, true where a frame is real.
    """

    def __init__(self, mask: Tensor) -> None:
        self.shape = mask.shape[1:]
        self.lengths: list[int] = mask[0].sum(1).tolist()
        self.index = mask.flatten().nonzero()[:, 0]

    @classmethod
    def of(cls, mask: Tensor | None) -> "Packing | None":
        """A packing where it pays: one run on a CPU (a GPU would have to wait for the lengths), and padding to leave out.

        Never in a trace, which would keep the padding of its example.
        """
        if (
            is_traced()
            or mask is None
            or len(mask) > 1
            or mask.device.type != "cpu"
            or int(mask.sum()) > MOSTLY_REAL * mask.numel()
        ):
            return None
        return cls(mask)

    def pack(self, x: Tensor) -> Tensor:
        """`(1, batch, frames, H)` -> `(1, 1, real frames, H)`."""
        return x.flatten(1, 2).index_select(1, self.index)[:, None]

    def pad(self, x: Tensor) -> Tensor:
        """`(1, 1, real frames, H)` -> `(1, batch, frames, H)`, 0 in padding."""
        padded = x.new_zeros(1, self.shape.numel(), x.shape[-1])
        return padded.index_copy(1, self.index, x[:, 0]).view(1, *self.shape, -1)


def pad(x: Tensor, packing: Packing | None) -> Tensor:
    """`Packing.pad` where there is a packing."""
    return x if packing is None else packing.pad(x)


def run_lstms(layers: Iterable[nn.Module], x: Tensor, mask: Tensor) -> Tensor:
    """Outputs `(batch, frames, outputs)` of LSTM layers on sequences `(batch, frames, D)`; padding has no effect and is 0.

    Args:
        layers: LSTMs of one layer, and dropout between them. Not LSTMs of several layers with a dropout of their own: cuDNN
            draws that from a stream that no seed reaches, so that a run would depend on those before it.
    """
    lengths = mask.sum(-1).cpu()
    # In float32: under autocast cuDNN's LSTM would compute in float16, whose gradients vanish where nothing scales them.
    with torch.autocast(x.device.type, enabled=False):
        at = nn.utils.rnn.pack_padded_sequence(x.float(), lengths, batch_first=True, enforce_sorted=False)
        for layer in layers:
            at = layer(at)[0] if isinstance(layer, nn.LSTM) else at._replace(data=layer(at.data))
        steps: Tensor = nn.utils.rnn.pad_packed_sequence(at, batch_first=True, total_length=x.shape[1])[0]
    return steps


class Scorer(nn.Module):
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

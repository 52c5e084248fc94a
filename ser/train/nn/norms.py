"""Normalisation of pictures and sequences with a leading run dimension, by the statistics of real frames only.

Pictures are `(runs, batch, channels, frames, bands)`, masks `(runs, batch, frames)`; results are zero in padding.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.train.nn.layers import is_traced


def real_only(x: Tensor, mask: Tensor) -> Tensor:
    """Pictures with zeros in padding, in place; untouched where there is none (which on a GPU would cost a wait to know)."""
    if is_traced():  # exporters know no writing in place
        return x * mask[:, :, None, :, None]
    return x.mul_(mask[:, :, None, :, None]) if is_padded(mask) else x


def is_padded(mask: Tensor) -> bool:
    return mask.device.type != "cpu" or not bool(mask.all())


def _rectified(x: Tensor) -> Tensor:
    """max(x, 0), in place but in a trace."""
    return torch.relu(x) if is_traced() else x.relu_()


class _Standardise(torch.autograd.Function):
    """(x - mean) / deviation of real values over dimensions, 0 in padding.

    By hand, because over pictures the many small steps that autograd would take last longer than the convolutions.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, real: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
        every = math.prod(x.shape[d] for d in dims if real.shape[d] == 1)
        count = real.sum(dims, keepdim=True).clamp_min(1) * every
        y = x * real
        y.addcmul_(y.sum(dims, keepdim=True) / count, real, value=-1)
        variance = torch.linalg.vector_norm(y, dim=dims, keepdim=True).square() / count
        scale = (variance + eps).rsqrt()
        y.mul_(scale)
        ctx.save_for_backward(y, real, scale, count)
        ctx.dims = dims
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        y, real, scale, count = ctx.saved_tensors
        g = gradient * real
        along = (g * y).sum(ctx.dims, keepdim=True) / count
        g.addcmul_(real, g.sum(ctx.dims, keepdim=True) / count, value=-1)
        return g.addcmul_(y, along, value=-1).mul_(scale), None, None, None


class _Normalise(torch.autograd.Function):
    """Batch normalisation of pictures `(batch, channels, frames, bands)` by their real cells; 0 in padding.

    torch's own statistics over all cells, padding being zero, are carried over to the real ones, a share r of all: their mean
    is m / r and, with that mean, their variance v / r - (1 - r) mean^2. Then no pass over the picture is made with a mask.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        count = mask.sum() * x.shape[3]
        share = count / (x.numel() // x.shape[1])
        padding = _Padding(mask)
        x = padding.zero(x.clone())
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)
        mean = mean / share
        variance = (variance / share - (1 - share) * mean.square()).clamp_min(0)
        y = torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.padding, ctx.eps = padding, eps
        ctx.mark_non_differentiable(mean, variance, count)
        return padding.zero(y), mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance, count = ctx.saved_tensors
        g, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        scale = (variance + ctx.eps).rsqrt()
        beyond = ctx.padding.sum(gradient)
        to_bias, to_weight = to_bias - beyond, to_weight + mean * scale * beyond
        slope = -weight * scale.square() * to_weight / count
        g.addcmul_(x, _by_channel(slope)).sub_(_by_channel(slope * mean + weight * scale * to_bias / count))
        return ctx.padding.zero(g), None, to_weight, to_bias, None


def _by_channel(x: Tensor) -> Tensor:
    return x[:, None, None]


class _Padding:
    """The padding of pictures `(batch, channels, frames, bands)`.

    On a CPU only the padded cells are visited, by their numbers; on a GPU, where their number would cost a wait, all cells.
    """

    def __init__(self, mask: Tensor) -> None:
        self.factor = mask[:, None, :, None] if mask.device.type != "cpu" else None
        self.index = (~mask).nonzero(as_tuple=True) if self.factor is None else ()

    def zero(self, x: Tensor) -> Tensor:
        """Pictures with zeros in padding, in place."""
        if self.factor is not None:
            return x.mul_(self.factor)
        x.transpose(1, 2)[self.index] = 0
        return x

    def sum(self, x: Tensor) -> Tensor:
        """The sum over padding, `(channels,)`."""
        return (x * ~self.factor).sum((0, 2, 3)) if self.factor is not None else x.transpose(1, 2)[self.index].sum((0, 2))


normalise: Callable[[Tensor, Tensor, Tensor, Tensor, float], tuple[Tensor, ...]] = _Normalise.apply


def standardise(x: Tensor, real: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    """(x - mean) / deviation of real values over dimensions, 0 in padding; in a trace without writing in place."""
    if not is_traced():
        found: Tensor = _Standardise.apply(x, real, dims, eps)  # type: ignore[no-untyped-call]
        return found
    count = real.sum(dims, keepdim=True) * math.prod(x.shape[d] for d in dims if real.shape[d] == 1)
    y = (x - (x * real).sum(dims, keepdim=True) / count) * real
    return y * (y.square().sum(dims, keepdim=True) / count + eps).rsqrt()


def whole(x: Tensor) -> Tensor:
    """The same in float32, which counts and variances need, where autocast gave less."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def cells(mask: Tensor, x: Tensor) -> Tensor:
    """1 for real cells of pictures and 0 for padding, `(runs, batch, 1, frames, bands)`.

    Written out over the bands: a factor that is repeated along a short last dimension makes a product several times slower.
    """
    real = mask[:, :, None, :, None].to(x.dtype)
    return real.expand(*real.shape[:-1], x.shape[-1]).contiguous()


class BatchNorm(nn.Module):
    """Batch normalisation of pictures (Ioffe & Szegedy 2015) by the statistics of real frames.

    Without padding it is `torch.nn.BatchNorm2d`. Padding counts neither in training nor for the running statistics, which
    serve in evaluation. Because of these a head that has it trains one run at a time. A ReLU may follow in here, where it can
    be in place: outside, on a view, in-place operations cost the backward pass three copies.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, relu: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.relu, self.momentum, self.eps = relu, momentum, eps
        self.weight = nn.Parameter(torch.ones(1, 1, channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, 1, channels, 1, 1))
        self.register_buffer("running_mean", torch.zeros(1, 1, channels, 1, 1))
        self.register_buffer("running_var", torch.ones(1, 1, channels, 1, 1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x, inside = whole(x).squeeze(0), mask.squeeze(0)
        weight, bias = self.weight.view(-1), self.bias.view(-1)
        several = x.numel() > x.shape[1]  # torch refuses statistics of one value
        if not self.training or (several and not is_padded(mask)):
            mean, variance = self.running_mean.view(-1), self.running_var.view(-1)
            y = F.batch_norm(x, mean, variance, weight, bias, self.training, self.momentum, self.eps)
        else:
            y, mean, variance, count = normalise(x, inside, weight, bias, self.eps)
            with torch.no_grad():
                self.running_mean.lerp_(mean.view_as(self.running_mean), self.momentum)
                unbiased = variance * count / (count - 1).clamp_min(1)
                self.running_var.lerp_(unbiased.view_as(self.running_var), self.momentum)
        if not self.training:
            y = real_only(y[None], mask).squeeze(0)
        return (_rectified(y) if self.relu else y)[None]


class GroupNorm(nn.Module):
    """Group normalisation of pictures (Wu & He 2018) by the statistics of an utterance's real frames, for each run.

    Groups are 8, or fewer where the channels cannot be divided so. No utterance depends on the others of its batch.
    """

    def __init__(self, channels: int, relu: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups, self.relu, self.eps = math.gcd(8, channels), relu, eps
        self.weight = nn.Parameter(torch.ones(1, channels))
        self.bias = nn.Parameter(torch.zeros(1, channels))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = whole(x)
        real = cells(mask, x)
        grouped = x.reshape(*x.shape[:2], self.groups, -1, *x.shape[3:])
        y = standardise(grouped, real[:, :, None], (3, 4, 5), self.eps)
        weight, bias = self.weight[:, None, :, None, None], self.bias[:, None, :, None, None]
        out = torch.addcmul(bias * real, y.reshape(x.shape), weight)
        return _rectified(out) if self.relu else out

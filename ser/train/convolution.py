"""Convolution and normalisation with a leading run dimension, in which padding has no effect.

Sequences are `(runs, batch, frames, D)`, pictures `(runs, batch, channels, frames, bands)`, masks `(runs, batch, frames)`.
What enters and leaves a layer is zero in padding, which is what a convolution sees beyond the end of an utterance that is
alone; statistics and means are taken over real frames only. All strides here are such that n frames become ceil(n / stride),
at least one, so the mask after a layer is `mask[..., ::stride]`.

The runs of `Conv2d` go one after another: as one grouped convolution they take as long (the four layers of `cnn2d`, 5 runs,
one CPU thread: 1.5 against 1.6 s a step).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.train.layers import Linear


class Conv1d(nn.Module):
    """y[t] = b + sum over k of x[t + taps[k]] W[k]: `(runs, batch, frames, inputs)` -> `(runs, batch, frames, outputs)`.

    Taps `(-1, 0, 1)` are a kernel of 3 in the middle, `(-d, 0)` one of 2 that looks back with dilation d, `(0, d)` ahead.
    Computed as one linear map of the shifted frames side by side, which for few features is faster than a convolution (1.3
    times at 39 features). Initial values are those of `torch.nn.Conv1d`.
    """

    def __init__(self, inputs: int, outputs: int, taps: tuple[int, ...] = (-1, 0, 1)) -> None:
        super().__init__()
        self.taps = taps
        self.linear = Linear(len(taps) * inputs, outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        frames = x.shape[2]
        before, after = max(0, -min(self.taps)), max(0, *self.taps)
        wide = F.pad(x, (0, 0, before, after))
        shifted = torch.cat([wide[:, :, before + t : before + t + frames] for t in self.taps], dim=-1)
        out: Tensor = self.linear(shifted) * mask[..., None]
        return out


class Conv2d(nn.Module):
    """`torch.nn.Conv2d` with odd square kernels and half of them as padding, for each run; pictures in, pictures out.

    What it leaves in padding is not zero: a normalisation, which makes it zero again, has to follow.

    Args:
        channels_last: lay pictures out channels last, where one run is trained: faster for up to 128 channels, as are the
            maximum and the normalisation after it; slower for more, in pictures as small as those have here.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, channels_last: bool = False
    ) -> None:
        super().__init__()
        self.stride, self.channels_last = stride, channels_last
        bound = 1 / math.sqrt(inputs * kernel * kernel)
        self.weight = nn.Parameter(torch.empty(1, outputs, inputs, kernel, kernel).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # torch 2.13 on a CPU: a strided bfloat16 convolution of a narrow picture reads memory that was never written.
            with torch.autocast("cpu", enabled=False):
                return self._convolve(x.float())
        return self._convolve(x)

    def _convolve(self, x: Tensor) -> Tensor:
        convolve = partial(F.conv2d, stride=self.stride, padding=self.weight.shape[-1] // 2)
        if len(x) == 1:
            x = x.squeeze(0)  # not x[0], whose backward pass copies
            return convolve(_laid_out(x, self.channels_last), self.weight.squeeze(0))[None]
        return torch.stack([convolve(a, w) for a, w in zip(x, self.weight, strict=True)])


def _laid_out(x: Tensor, channels_last: bool) -> Tensor:
    """Pictures `(batch, channels, frames, bands)` with channels last in memory, or first."""
    if not channels_last:
        return x.contiguous()
    if x.shape[1] > 1:
        return x.contiguous(memory_format=torch.channels_last)
    _, _, frames, bands = x.shape  # one channel is both at once: it is the strides that say which is meant
    return x.contiguous().as_strided(x.shape, (frames * bands, 1, bands, 1))


def halve(x: Tensor, mask: Tensor, kernel: int = 2) -> tuple[Tensor, Tensor]:
    """Maximum over 2 x 2 or 3 x 3 cells, stride 2, and its mask: n frames and bands become ceil(n / 2).

    The zeros after the last real frame count in a cell's maximum, in an utterance alone as beside a longer one.
    """
    flat = x.flatten(0, 1)
    if x.shape[3] % 2:
        flat = F.pad(flat, (0, 0, 0, 1))
    small = F.max_pool2d(flat, kernel, 2, padding=(kernel - 1) // 2, ceil_mode=kernel == 2)
    return real_only(small.view(*x.shape[:2], *small.shape[1:]), mask[..., ::2]), mask[..., ::2]


def real_only(x: Tensor, mask: Tensor) -> Tensor:
    """Pictures with zeros in padding, in place; untouched where there is none (which on a GPU would cost a wait to know)."""
    return x.mul_(mask[:, :, None, :, None]) if is_padded(mask) else x


def is_padded(mask: Tensor) -> bool:
    return mask.device.type != "cpu" or not bool(mask.all())


class _Standardise(torch.autograd.Function):
    """(x - mean) / deviation of real values over dimensions, 0 in padding; also the mean, variance and number of them.

    By hand, because over pictures the many small steps that autograd would take last longer than the convolutions.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, real: Tensor, dims: tuple[int, ...], eps: float) -> tuple[Tensor, ...]:
        every = math.prod(x.shape[d] for d in dims if real.shape[d] == 1)
        count = real.sum(dims, keepdim=True).clamp_min(1) * every
        y = x * real
        mean = y.sum(dims, keepdim=True) / count
        y.addcmul_(mean, real, value=-1)
        variance = torch.linalg.vector_norm(y, dim=dims, keepdim=True).square() / count
        scale = (variance + eps).rsqrt()
        y.mul_(scale)
        ctx.save_for_backward(y, real, scale, count)
        ctx.dims = dims
        ctx.mark_non_differentiable(mean, variance, count)
        return y, mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
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
    """Which cells of pictures `(batch, channels, frames, bands)` are padding.

    On a CPU only these are gone through, by their numbers; on a GPU, which would be waited for to know how many there are, all.
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
        return (
            (x * ~self.factor).sum((0, 2, 3)) if self.factor is not None else x.transpose(1, 2)[self.index].sum((0, 2))
        )


normalise: Callable[[Tensor, Tensor, Tensor, Tensor, float], tuple[Tensor, ...]] = _Normalise.apply
standardise: Callable[[Tensor, Tensor, tuple[int, ...], float], tuple[Tensor, ...]] = _Standardise.apply


def whole(x: Tensor) -> Tensor:
    """In float32 what autocast gave in less: counts and variances need it."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def cells(mask: Tensor, x: Tensor) -> Tensor:
    """Which cells of pictures are real, `(runs, batch, 1, frames, bands)` of 0 and 1.

    Written out over the bands: a factor that is repeated along a short last dimension makes a product several times slower.
    """
    real = mask[:, :, None, :, None].to(x.dtype)
    return real.expand(*real.shape[:-1], x.shape[-1]).contiguous()


class BatchNorm(nn.Module):
    """Batch normalisation of pictures (Ioffe & Szegedy 2015) by the statistics of real frames.

    Without padding it is `torch.nn.BatchNorm2d`. Padding counts neither in training nor for the running statistics, which
    serve in evaluation. Because of these a head that has it trains one run at a time. A ReLU may follow in here, where it can
    be in place: outside, on what is a view, in-place operations cost the backward pass three copies.
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
        return (y.relu_() if self.relu else y)[None]


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
        y, *_ = standardise(grouped, real[:, :, None], (3, 4, 5), self.eps)
        weight, bias = self.weight[:, None, :, None, None], self.bias[:, None, :, None, None]
        out = torch.addcmul(bias * real, y.reshape(x.shape), weight)
        return out.relu_() if self.relu else out


class Shrink(nn.Module):
    """Convolution, maximum over 2 x 2 cells, normalisation, ReLU: `(runs, batch, inputs, frames, bands)` and its mask.

    Normalisation comes after the maximum, where there are four times fewer values.
    """

    def __init__(self, inputs: int, outputs: int, norm: type[BatchNorm] | type[GroupNorm]) -> None:
        super().__init__()
        self.convolve, self.norm = Conv2d(inputs, outputs, channels_last=norm is BatchNorm), norm(outputs, relu=True)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x, mask = halve(real_only(self.convolve(x), mask), mask)
        return self.norm(x, mask), mask

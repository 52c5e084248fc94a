"""Convolution with a leading run dimension, in which padding has no effect.

Sequences are `(runs, batch, frames, D)`, pictures `(runs, batch, channels, frames, bands)`, masks `(runs, batch, frames)`.
Inputs and outputs of a layer are zero in padding, as a convolution sees zeros beyond the end of an utterance that is
alone (normalisation: `ser.train.nn.norms`). All strides here are such that n frames become ceil(n / stride),
at least one, so the mask after a layer is `mask[..., ::stride]`.

The runs of `Conv2d` go one after another: as one grouped convolution they take as long (the four layers of `cnn2d`, 5 runs,
one CPU thread: 1.5 against 1.6 s per step).
"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.train.nn.layers import Linear, is_traced
from ser.train.nn.norms import BatchNorm, GroupNorm, real_only


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
        taps = [max(-frames, min(t, frames)) for t in self.taps]  # further away there are zeros all the same
        before, after = max(0, -min(taps)), max(0, *taps)
        wide = F.pad(x, (0, 0, before, after))
        shifted = torch.cat([wide[:, :, before + t : before + t + frames] for t in taps], dim=-1)
        out: Tensor = self.linear(shifted) * mask[..., None]
        return out


class Conv2d(nn.Module):
    """`torch.nn.Conv2d` with odd square kernels and half of them as padding, for each run; pictures in, pictures out.

    What it leaves in padding is not zero: a normalisation, which makes it zero again, has to follow.

    Args:
        channels_last: lay pictures out channels last, where one run is trained: faster for up to 128 channels, as are the
            maximum and the normalisation after it; slower for more, in pictures as small as those have here.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, channels_last: bool = False) -> None:
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
    if not channels_last or is_traced():
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
    odd = x.shape[3] % 2
    if odd or is_traced():
        flat = F.pad(flat, (0, 0, 0, odd))
    small = F.max_pool2d(flat, kernel, 2, padding=(kernel - 1) // 2, ceil_mode=kernel == 2)
    return real_only(small.view(*x.shape[:2], *small.shape[1:]), mask[..., ::2]), mask[..., ::2]


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

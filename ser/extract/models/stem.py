"""The convolutions at the bottom of the Wav2Vec2 family and of emotion2vec, exact for utterances of any length.

A frame of the last convolution reads 400 samples; one of an utterance's own frames reads none of what is padded behind
it. What padding does change is a group norm, whose statistics run over the whole row. Two cures, each used where it is
the faster one: on a CPU `Stem` computes each utterance by itself, as matrix products; on a GPU `ValidGroupNorm` takes
the place of the library's group norm (see `padding`) and leaves the rest as it is.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ser.extract.models.distance_bias import LONG

ROWS = 256  # frames of 512 channels: half a megabyte in float32
PIECE = 512  # frames of the last layer, 10 s: 67 MB of the first layer's, in float32


@dataclass(frozen=True, eq=False)
class Convolution:
    """One layer: convolution without padding, an optional norm, an activation.

    Attributes:
        layer: `nn.Conv1d`, ungrouped, undilated.
        norm: `nn.LayerNorm` over channels, `nn.GroupNorm` of one channel a group, or None.
        activation: elementwise.
    """

    layer: nn.Conv1d
    norm: nn.Module | None
    activation: Callable[[Tensor], Tensor]


class Stem:
    """The convolutions as matrix products, one utterance at a time, frames first: `(samples,)` -> `(frames, channels)`.

    With frames first, the frames that one step of a convolution of stride s reads lie together in memory, so that the
    product needs no copy: the first s of a kernel are a view `(frames, s * channels)`, the rest another. Measured
    against the library's convolutions on one core: layer-norm stems 1.85 times as fast in float32 and 6 times in
    bfloat16, group-norm stems 1 and 2.9 (benchmarks/extract.md).
    """

    def __init__(self, layers: Sequence[Convolution]) -> None:
        self.layers = [(_product(c.layer), c) for c in layers]
        self.kernels = [int(c.layer.kernel_size[0]) for c in layers]
        self.strides = [int(c.layer.stride[0]) for c in layers]

    def __call__(self, audio: Tensor) -> Tensor:
        """One utterance `(samples,)`, in the weights' dtype; piece by piece where it has more than `LONG` frames."""
        frames = self.frames(len(audio))
        if frames <= LONG or any(isinstance(c.norm, nn.GroupNorm) for _, c in self.layers[1:]):
            return self._computed(audio)
        norm = self.layers[0][1].norm
        affine = None
        if isinstance(norm, nn.GroupNorm):
            count = frames_of(len(audio), self.kernels[:1], self.strides[:1])
            affine = _affine_of(norm, lambda: self._first(audio, count), count)
        step, field = prod(self.strides), receptive_field(self.kernels, self.strides)
        begins = range(0, frames, PIECE)
        ends = [(min(begin + PIECE, frames) - 1) * step + field for begin in begins]
        pieces = (audio[begin * step : end] for begin, end in zip(begins, ends, strict=True))
        return torch.cat([self._computed(piece, affine) for piece in pieces])

    def _computed(self, audio: Tensor, affine: "Affine | None" = None) -> Tensor:
        """A piece or the whole; `affine` is what the first layer's group norm does, None where that is taken from here."""
        x = audio[:, None]
        for (weight, layer), kernel, stride in zip(self.layers, self.kernels, self.strides, strict=True):
            x = _convolve(x, weight, layer.layer.bias, kernel, stride)
            if isinstance(layer.norm, nn.GroupNorm):
                x = _normalise_channels(x, layer.norm, affine)
            elif layer.norm is not None:
                x = layer.norm(x)
            x = layer.activation(x)
        return x

    def _first(self, audio: Tensor, count: int) -> Iterator[Tensor]:
        """The `count` frames of the first convolution, in blocks of `ROWS`."""
        (weight, layer), kernel, stride = self.layers[0], self.kernels[0], self.strides[0]
        for begin in range(0, count, ROWS):
            last = min(begin + ROWS, count) - 1
            yield _convolve(audio[begin * stride : last * stride + kernel, None], weight, layer.layer.bias, kernel, stride)

    def frames(self, samples: int) -> int:
        """The number of frames of a number of samples."""
        return frames_of(samples, self.kernels, self.strides)


def frames_of(samples: int, kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Frames after a stack of convolutions without padding.

    >>> frames_of(16000, [10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2])
    49
    """
    for kernel, stride in zip(kernels, strides, strict=True):
        samples = (samples - kernel) // stride + 1
    return samples


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples that the first frame of a stack of convolutions reads.

    >>> receptive_field([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2])
    400
    """
    field = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        field = (field - 1) * stride + kernel
    return field


def _product(layer: nn.Conv1d) -> Tensor:
    """A convolution's weight `(out, in, kernel)` as `(kernel * in, out)`."""
    if layer.groups != 1 or layer.dilation != (1,) or layer.padding not in ((0,), "valid"):
        raise ValueError(f"a convolution of another kind: {layer}")
    return layer.weight.permute(2, 1, 0).reshape(-1, layer.out_channels).contiguous()


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, kernel: int, stride: int) -> Tensor:
    """`(frames, in)` -> `(1 + (frames - kernel) // stride, out)`."""
    channels = x.shape[1]
    frames = (x.shape[0] - kernel) // stride + 1
    if channels == 1 or kernel > 2 * stride:  # the audio itself: copying its windows costs nothing beside the product
        windows = x.as_strided((frames, kernel * channels), (stride * channels, 1))
        return _affine(windows.contiguous(), weight, bias)
    first = min(kernel, stride) * channels
    out = _affine(x.as_strided((frames, first), (stride * channels, 1)), weight[:first], bias)
    if kernel > stride:
        rest = x[stride:].as_strided((frames, (kernel - stride) * channels), (stride * channels, 1))
        out.addmm_(rest, weight[first:])
    return out


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x @ weight if bias is None else torch.addmm(bias, x, weight)


Affine: TypeAlias = tuple[Tensor, Tensor]  # the factor of each channel, and what is added to it


def _normalise_channels(x: Tensor, norm: nn.GroupNorm, affine: Affine | None = None) -> Tensor:
    """Group norm of one channel a group, over time, in place.

    In blocks of rows that stay in the cache: three times as fast as on the whole.
    """
    blocks = torch.split(x, ROWS)
    scale, shift = affine or _affine_of(norm, lambda: blocks, len(x))
    for block in blocks:
        block.copy_(torch.addcmul(shift, block.float(), scale))
    return x


def _affine_of(norm: nn.GroupNorm, blocks: Callable[[], Iterable[Tensor]], count: int) -> Affine:
    """The scale and shift of a group norm over `count` frames; statistics in two passes, in float32.

    (torch's own for frames first takes one pass, and loses digits where a channel's mean is large.)
    """
    if norm.num_groups != norm.num_channels:
        raise ValueError(f"a group norm of another kind: {norm}")
    ones = torch.ones(1, ROWS, device=norm.weight.device)
    sums = [ones[:, : len(b)] @ b.float() for b in blocks()]
    mean = torch.cat(sums).sum(0, keepdim=True) / count
    squares = [ones[:, : len(b)] @ (b.float() - mean).square_() for b in blocks()]
    square = torch.cat(squares).sum(0, keepdim=True) / count
    scale = (square + norm.eps).rsqrt_() * norm.weight.float()
    return scale, norm.bias.float() - mean * scale

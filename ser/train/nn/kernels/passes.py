"""Dropout, GELU, residual and layer normalisation that go over their numbers once, compiled for this processor."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ser.train.nn.kernels import compiler


class DropoutKernels(NamedTuple):
    """Compiled functions of addresses of float32, 16 bits of each number and a scale; then a count and a limit.

    Attributes:
        dropout: x, bits, output, scale.
        gelu: the same.
        gelu_gradient: gradient of the output, x, bits, gradient of x, scale.
        engine: owns the code.
    """

    dropout: Callable[..., None]
    gelu: Callable[..., None]
    gelu_gradient: Callable[..., None]
    engine: Any


@cache
def build_dropout(width: int) -> DropoutKernels:
    """Compile dropout, alone and after GELU."""
    from ser.train.nn.kernels import pass_code

    passes = pass_code.dropout, pass_code.gelu, pass_code.gelu_gradient
    writers = [partial(write, n=width) for write in passes]
    return DropoutKernels(*compiler.functions({"dropout": (4, 2), "gelu": (4, 2), "gelu_gradient": (5, 2)}, writers))


class NormKernels(NamedTuple):
    """Compiled functions of the end of a layer, y = LayerNorm(x + dropout(h)); see `ser.train.nn.kernels.pass_code`.

    Attributes:
        norm, gradient: of addresses of float32, bits and a scale, then rows, columns and a limit.
        row_sums: of a matrix and of the sums of its columns, then rows and columns.
        engine: owns the code.
    """

    norm: Callable[..., None]
    gradient: Callable[..., None]
    row_sums: Callable[..., None]
    engine: Any


@cache
def build_norm(width: int) -> NormKernels:
    """Compile the end of a layer."""
    from ser.train.nn.kernels import pass_code

    passes = pass_code.residual_norm, pass_code.residual_norm_gradient, pass_code.row_sums
    kinds = {"residual_norm": (9, 3), "residual_norm_gradient": (11, 3), "row_sums": (2, 2)}
    return NormKernels(*compiler.functions(kinds, [partial(write, n=width) for write in passes]))


def drops(x: Tensor, numbers: int) -> bool:
    """True if `Dropped` computes dropout of `numbers` of each run of such a tensor; the number of runs does not count."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or not compiler.width():
        return False
    return numbers > 0 and numbers % compiler.width() == 0


class Draws(NamedTuple):
    """What decides which numbers dropout keeps.

    Attributes:
        bits: of each run, 16 for each of its numbers.
        limit: a number is kept where its bits are below it.
        scale: of what is kept.
    """

    bits: Sequence[NDArray[np.uint64]]
    limit: int
    scale: float


class Dropped(torch.autograd.Function):
    """Dropout of x `(runs, ...)`, of which a run has a multiple of `compiler.width()` numbers."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, draws: Draws) -> Tensor:
        ctx.draws = draws
        return _dropped("dropout", draws, x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _dropped("dropout", ctx.draws, gradient), None


class GeluDropped(torch.autograd.Function):
    """As `Dropped`, of GELU(x) (Hendrycks & Gimpel 2016), which is torch's to 1e-6."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, draws: Draws) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x)
        ctx.draws = draws
        return gelu_dropped(x, draws)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gelu_gradient(gradient, x, ctx.draws), None


def gelu_dropped(x: Tensor, draws: Draws) -> Tensor:
    """Dropout of GELU(x)."""
    return _dropped("gelu", draws, x)


def gelu_gradient(gradient: Tensor, x: Tensor, draws: Draws) -> Tensor:
    """The gradient of `gelu_dropped`'s x, from that of its output."""
    return _dropped("gelu_gradient", draws, gradient, x)


class Normal(NamedTuple):
    """What the backward pass of `residual_norm` needs: `z (runs, rows, H)` and the factors `(runs, rows)` that made it."""

    z: Tensor
    factors: Tensor


def residual_norm(x: Tensor, h: Tensor, draws: Draws, gain: Tensor, shift: Tensor) -> tuple[Tensor, Normal]:
    """Layer normalisation of x + dropout(h), `(runs, rows, H)`, with the gain and shift `(runs, H)` of each run."""
    x, h, (runs, rows, size) = x.contiguous(), h.contiguous(), x.shape
    y, z, factors = torch.empty_like(x), torch.empty_like(x), x.new_empty(runs, rows)
    function, scale = build_norm(compiler.width()).norm, ctypes.c_float(draws.scale)
    tensors = zip(*map(compiler.each_run, (x, h, gain, shift, z, factors, y)), strict=True)
    for bits, (own, more, *others) in zip(draws.bits, tensors, strict=True):
        function(own, more, bits.ctypes.data, ctypes.addressof(scale), *others, rows, size, draws.limit)
    return y, Normal(z, factors)


class NormGradients(NamedTuple):
    """Gradients of `residual_norm`: of x and h `(runs, rows, H)`, gain and shift `(runs, H)`; h's sum over rows, the same."""

    x: Tensor
    h: Tensor
    gain: Tensor
    shift: Tensor
    bias: Tensor


def residual_norm_gradient(gradient: Tensor, normal: Normal, draws: Draws, gain: Tensor) -> NormGradients:
    """The gradients of `residual_norm` from that of its output."""
    gradient, (runs, rows, size) = gradient.contiguous(), gradient.shape
    whole = [torch.empty_like(gradient) for _ in range(2)]
    found = NormGradients(*whole, *(gradient.new_empty(runs, size) for _ in range(3)))
    function, scale = build_norm(compiler.width()).gradient, ctypes.c_float(draws.scale)
    given = zip(*map(compiler.each_run, (gradient, *normal, gain)), strict=True)
    for bits, own, to in zip(draws.bits, given, zip(*map(compiler.each_run, found), strict=True), strict=True):
        function(*own, bits.ctypes.data, ctypes.addressof(scale), *to, rows, size, draws.limit)
    return found


def row_sums(g: Tensor) -> Tensor:
    """Sums over rows, `(runs, rows, N)` -> `(runs, 1, N)`."""
    out = g.new_empty(len(g), 1, g.shape[2])
    for source, to in zip(compiler.each_run(g.contiguous()), compiler.each_run(out), strict=True):
        build_norm(compiler.width()).row_sums(source, to, *g.shape[1:])
    return out


def _dropped(name: str, draws: Draws, *given: Tensor) -> Tensor:
    """What a function of `DropoutKernels` gives of tensors of one shape."""
    given = tuple(x.contiguous() for x in given)
    out, factor = torch.empty_like(given[0]), ctypes.c_float(draws.scale)
    function, numbers = getattr(build_dropout(compiler.width()), name), out[0].numel()
    for bits, to, *own in zip(draws.bits, compiler.each_run(out), *map(compiler.each_run, given), strict=True):
        function(*own, bits.ctypes.data, to, ctypes.addressof(factor), numbers, draws.limit)
    return out

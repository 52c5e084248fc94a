"""Products with large weights, and AdamW on such a product, compiled for this processor."""

import ctypes
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ser.train.nn.kernels import compiler

ROWS = 32  # most of a batch for `update`, and for the products without AVX-512
TILE = 16  # rows that the products go through at a time where there are more than ROWS
STEP = 8  # fewer rows are filled up to a multiple of it: functions are compiled for each number, and rows of zeros cost nothing
VECTORS = 2  # N of a weight is a multiple of as many registers


class Step(ctypes.Structure):
    """The numbers of a step of AdamW: w := decay w - rate m / (sqrt(q) correct + eps), where m and q are moving means."""

    _fields_ = [
        (name, ctypes.c_float)
        for name in ("decay", "keep_mean", "add_mean", "keep_square", "add_square", "correct", "eps", "rate")
    ]


class Kernels(NamedTuple):
    """Compiled functions for tiles of some rows, of addresses of float32, and then K and N of a weight `(K, N)`.

    Attributes:
        forward: x, weight, bias, output; and the number of rows.
        backward: gradient of the output, weight, gradient of x; and the number of rows.
        update: x, gradient of the output, weight, its two moving means, a `Step`.
        engine: owns the code.
    """

    forward: Callable[..., None]
    backward: Callable[..., None]
    update: Callable[..., None]
    engine: Any


def fit(x: Tensor, weight: Tensor) -> bool:
    """True if the products are used for `x (runs, rows, K)` and `weight (runs, K, N)`; the number of runs does not count."""
    if not compiler.width() or x.dtype != torch.float32 or (x.shape[1] > ROWS and not compiler.is_wide()):
        return False
    return not (x.shape[1] == 0 or weight.shape[1] % compiler.INPUTS or weight.shape[2] % (VECTORS * compiler.width()))


@cache
def build(rows: int, eights: bool = True) -> Kernels:
    """Compile the functions for a number of rows; `eights`: K of all weights is a multiple of 8, not of 4 alone."""
    from ser.train.nn.kernels import product_code

    writers = [partial(write, rows=rows, wide=compiler.is_wide()) for write in (product_code.forward, product_code.backward)]
    writers.append(partial(product_code.update, rows=rows, wide=compiler.is_wide(), eights=eights))
    return Kernels(*compiler.functions({"forward": (4, 3), "backward": (3, 3), "update": (6, 2)}, writers))


@cache
def build_gradient() -> list[Any]:
    """Compile x^T g of many rows: a function of the addresses of x, g and the result, and of rows, N and K; and its code."""
    from ser.train.nn.kernels import product_code

    return compiler.functions({"gradient": (3, 3)}, [product_code.gradient])


def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b, `(runs, rows, K)` -> `(runs, rows, N)`."""
    rows, x = x.shape[1], _filled(x)
    out = x.new_empty(*x.shape[:2], weight.shape[2])
    product = build(_tile(x)).forward
    for addresses in zip(*map(compiler.each_run, (x, weight, bias, out)), strict=True):
        product(*addresses, *weight.shape[1:], x.shape[1])
    return out[:, :rows].contiguous()


def backward(g: Tensor, weight: Tensor) -> Tensor:
    """g W^T, `(runs, rows, N)` -> `(runs, rows, K)`."""
    rows, g = g.shape[1], _filled(g)
    out = g.new_empty(*g.shape[:2], weight.shape[1])
    product = build(_tile(g)).backward
    for addresses in zip(*map(compiler.each_run, (g, weight, out)), strict=True):
        product(*addresses, *weight.shape[1:], g.shape[1])
    return out[:, :rows].contiguous()


def times(x: Tensor, w: Tensor, out: Tensor) -> None:
    """Write x w, `(rows, K)` and `(K, N)`, to `out (rows, N)`, which lies side by side."""
    if len(x) >= TILE and compiler.is_wide() and fit(x[None], w[None]):
        x, w = x.contiguous(), w.contiguous()
        bias = w.new_zeros(w.shape[1])
        build(TILE).forward(x.data_ptr(), w.data_ptr(), bias.data_ptr(), out.data_ptr(), *w.shape, len(x))
    else:
        torch.mm(x, w, out=out)


def times_transposed(x: Tensor, w: Tensor, out: Tensor) -> None:
    """Write x w^T, `(rows, N)` and `(K, N)`, to `out (rows, K)`, which lies side by side."""
    if len(x) >= TILE and compiler.is_wide() and fit(x[None], w[None]):
        x, w = x.contiguous(), w.contiguous()
        build(TILE).backward(x.data_ptr(), w.data_ptr(), out.data_ptr(), *w.shape, len(x))
    else:
        torch.mm(x, w.t(), out=out)


def transposed_times(x: Tensor, g: Tensor, out: Tensor) -> None:
    """Write x^T g, `(rows, K)` and `(rows, N)`, to `out (K, N)`, which lies side by side."""
    inputs, outputs = out.shape
    if compiler.width() and compiler.is_wide() and inputs >= TILE and outputs % TILE == 0 and x.dtype == torch.float32:
        x, g = x.contiguous(), g.contiguous()
        build_gradient()[0](x.data_ptr(), g.data_ptr(), out.data_ptr(), len(x), outputs, inputs)
    else:
        torch.mm(x.t(), g, out=out)


def _filled(x: Tensor) -> Tensor:
    """Few rows `(runs, rows, n)` with zeros after them, side by side; the runs may share them."""
    missing = -x.shape[1] % STEP if x.shape[1] <= ROWS else 0
    if missing:
        return F.pad(x, (0, 0, 0, missing))
    return x if x[0].is_contiguous() else x.contiguous()


def _tile(x: Tensor) -> int:
    """Rows that the products of `x (runs, rows, n)` go through at a time."""
    return x.shape[1] if x.shape[1] <= ROWS else TILE


def update(x: Tensor, g: Tensor, weight: Tensor, mean: Tensor, square: Tensor, step: Step) -> None:
    """Take a step of AdamW in place.

    Args:
        x, g: factors of the gradient, `(runs, rows, K)` and `(runs, rows, N)`.
        weight, mean, square: `(runs, K * N)`; the moving means are those of the gradient and of its square.
    """
    x, g = _filled(x), _filled(g)
    compiled = build(x.shape[1], x.shape[2] % 8 == 0)
    for addresses in zip(*map(compiler.each_run, (x, g, weight, mean, square)), strict=True):
        compiled.update(*addresses, ctypes.addressof(step), x.shape[2], g.shape[2])

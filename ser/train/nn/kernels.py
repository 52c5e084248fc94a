"""Products of few rows with large weights, AdamW on such a product, and dropout, compiled for this processor by LLVM.

A layer of a large head on a batch of 16 is bound by its weights, which do not fit into a cache; libraries of matrix products
are made for other shapes. Three functions go over a weight once, and ask beforehand for what comes next:

- `forward`: x W + b;
- `backward`: g W^T;
- `update`: AdamW with the gradient x^T g, which is never written: a few numbers of it at a time are computed in registers.

`dropout` goes over its numbers once, where torch does so four times. All are written in LLVM's intermediate language
(`ser.train.nn.kernel_code`) and compiled by the package llvmlite in each process that needs them, the three for each number of
rows (0.1 s; nothing is kept on disk). Where they are not used (see `width`), torch does the same but for rounding.
`benchmarks/train.md` says what they gain.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS = 32  # most of a batch
INPUTS, VECTORS = 4, 2  # K of a weight is a multiple of the one, N of as many registers
LLVM = 20  # the first version whose language is as it is written here
SETTING = os.environ.get("SER_KERNELS", "")


class Step(ctypes.Structure):
    """The numbers of a step of AdamW: w := decay w - rate m / (sqrt(q) correct + eps), where m and q are moving means."""

    _fields_ = [
        (name, ctypes.c_float)
        for name in ("decay", "keep_mean", "add_mean", "keep_square", "add_square", "correct", "eps", "rate")
    ]


class Kernels(NamedTuple):
    """Compiled functions for a number of rows, of addresses of float32, and then K and N of a weight `(K, N)`.

    Attributes:
        forward: x, weight, bias, output.
        backward: gradient of the output, weight, gradient of x.
        update: x, gradient of the output, weight, its two moving means, a `Step`.
        engine: owns the code.
    """

    forward: Callable[..., None]
    backward: Callable[..., None]
    update: Callable[..., None]
    engine: Any


@cache
def width() -> int:
    """Numbers that are computed at a time; 0 where torch is to do it.

    That is where llvmlite is not installed, on processors without AVX2, with `SER_KERNELS=0` in the environment, and without
    `SER_KERNELS=1` on those of Intel with AVX-512, where nothing was measured.
    """
    if SETTING == "0":
        return 0
    try:
        from llvmlite.binding import get_host_cpu_features, get_host_cpu_name, llvm_version_info
    except ImportError:
        return 0
    features = get_host_cpu_features()
    if llvm_version_info[0] < LLVM or not (features.get("avx2") and features.get("fma")):
        return 0
    measured = not features.get("avx512f") or get_host_cpu_name().startswith("znver")
    return 8 if measured or SETTING == "1" else 0


def is_wide() -> bool:
    """True if the processor has AVX-512 with its 32 registers; the bits are the same without."""
    from llvmlite.binding import get_host_cpu_features

    return bool(get_host_cpu_features().get("avx512vl"))


def fit(x: Tensor, weight: Tensor) -> bool:
    """True if the functions are used for `x (runs, rows, K)` and `weight (runs, K, N)`; the number of runs does not count."""
    if x.shape[1] > ROWS or not width() or x.dtype != torch.float32:
        return False
    return not (x.shape[1] == 0 or weight.shape[1] % INPUTS or weight.shape[2] % (VECTORS * width()))


@cache
def build(rows: int, width: int) -> Kernels:
    """Compile the functions for a number of rows, in registers of `width` numbers."""
    from ser.train.nn import kernel_code

    products = kernel_code.forward, kernel_code.backward, kernel_code.update
    writers = [partial(write, rows=rows, wide=is_wide()) for write in products]
    return Kernels(*_compiled({"forward": 4, "backward": 3, "update": 6}, writers, width))


class Compiled(NamedTuple):
    """A compiled function, and what owns its code."""

    function: Callable[..., None]
    engine: Any


@cache
def build_dropout(width: int) -> Compiled:
    """Compile `kernel_code.dropout`."""
    from ser.train.nn import kernel_code

    return Compiled(*_compiled({"dropout": 4}, [kernel_code.dropout], width))


def _compiled(addresses: dict[str, int], writers: Sequence[Callable[..., None]], width: int) -> list[Any]:
    """Functions by name, of a number of addresses and two whole numbers, and last what owns their code."""
    from llvmlite import binding, ir

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = ir.Module()
    for write in writers:
        write(module, n=width)
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3
    )
    engine = binding.create_mcjit_compiler(binding.parse_assembly(str(module)), machine)
    engine.finalize_object()

    kinds = {name: [ctypes.c_void_p] * count + [ctypes.c_int64] * 2 for name, count in addresses.items()}
    return [*(ctypes.CFUNCTYPE(None, *kind)(engine.get_function_address(n)) for n, kind in kinds.items()), engine]


def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b, `(runs, rows, K)` -> `(runs, rows, N)`."""
    compiled = build(x.shape[1], width())
    x, out = x.contiguous(), x.new_empty(*x.shape[:2], weight.shape[2])
    for addresses in zip(*map(_each, (x, weight, bias, out)), strict=True):
        compiled.forward(*addresses, *weight.shape[1:])
    return out


def backward(g: Tensor, weight: Tensor) -> Tensor:
    """g W^T, `(runs, rows, N)` -> `(runs, rows, K)`."""
    compiled = build(g.shape[1], width())
    g, out = g.contiguous(), g.new_empty(*g.shape[:2], weight.shape[1])
    for addresses in zip(*map(_each, (g, weight, out)), strict=True):
        compiled.backward(*addresses, *weight.shape[1:])
    return out


def update(x: Tensor, g: Tensor, weight: Tensor, mean: Tensor, square: Tensor, step: Step) -> None:
    """Take a step of AdamW in place.

    Args:
        x, g: factors of the gradient, `(runs, rows, K)` and `(runs, rows, N)`.
        weight, mean, square: `(runs, K * N)`; the moving means are those of the gradient and of its square.
    """
    compiled = build(x.shape[1], width())
    for addresses in zip(*map(_each, (x, g, weight, mean, square)), strict=True):
        compiled.update(*addresses, ctypes.addressof(step), x.shape[2], g.shape[2])


def drops(x: Tensor) -> bool:
    """True if `Dropped` computes the dropout of `x (runs, ...)`; the number of runs does not count."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or not width():
        return False
    return x.numel() > 0 and x[0].numel() % width() == 0


class Dropped(torch.autograd.Function):
    """x times a scale where draws are below a limit, and times 0 elsewhere: dropout."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, draws: Sequence[NDArray[np.uint64]], limit: int, scale: float) -> Tensor:
        """Args:
        x: `(runs, ...)`, of which a run has a multiple of `width()` numbers.
        draws: of each run, 16 bits of each of its numbers.
        """
        ctx.given = draws, limit, scale
        return _dropped(x, *ctx.given)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _dropped(gradient, *ctx.given), None, None, None


def _dropped(x: Tensor, draws: Sequence[NDArray[np.uint64]], limit: int, scale: float) -> Tensor:
    compiled, factor = build_dropout(width()), ctypes.c_float(scale)
    x = x.contiguous()
    out = torch.empty_like(x)
    for own, drawn, to in zip(_each(x), draws, _each(out), strict=True):
        compiled.function(own, drawn.ctypes.data, to, ctypes.addressof(factor), x[0].numel(), limit)
    return out


def _each(x: Tensor) -> list[int]:
    """The addresses of each run's numbers, which lie side by side."""
    first, runs = x.data_ptr(), x.shape[0]
    return [first] if runs == 1 else [first + run * x.stride(0) * x.element_size() for run in range(runs)]

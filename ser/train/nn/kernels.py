"""Products of few rows with large weights, and AdamW on such a product, compiled for this processor by LLVM.

A layer of a large head on a batch of 16 is bound by its weights, which do not fit into a cache; libraries of matrix products
are made for other shapes. Three functions go over a weight once, and ask beforehand for what comes next:

- `forward`: x W + b;
- `backward`: g W^T;
- `update`: AdamW with the gradient x^T g, which is never written: a few numbers of it at a time are computed in registers.

They are written in LLVM's intermediate language (`ser.train.nn.kernel_code`) and compiled in each process that trains a large
head, for each number of rows (0.1 s; nothing is kept on disk), by the package llvmlite. Where they are not used (see `width`),
torch does the same but for rounding. `benchmarks/train.md` says what they gain.
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
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
    `SER_KERNELS=1` on those of Intel with AVX-512, where nothing was measured. On AMD's with AVX-512 registers of 16 numbers
    were no faster.
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


def fit(x: Tensor, weight: Tensor) -> bool:
    """True if the functions are used for `x (runs, rows, K)` and `weight (runs, K, N)`; the number of runs does not count."""
    if x.shape[1] > ROWS or not width() or x.dtype != torch.float32:
        return False
    return not (x.shape[1] == 0 or weight.shape[1] % INPUTS or weight.shape[2] % (VECTORS * width()))


@cache
def build(rows: int, width: int) -> Kernels:
    """Compile the functions for a number of rows, in registers of `width` numbers."""
    from llvmlite import binding, ir

    from ser.train.nn import kernel_code

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = ir.Module()
    for write in (kernel_code.forward, kernel_code.backward, kernel_code.update):
        write(module, rows, width)
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3
    )
    engine = binding.create_mcjit_compiler(binding.parse_assembly(str(module)), machine)
    engine.finalize_object()

    def function(name: str, addresses: int) -> Callable[..., None]:
        types = [ctypes.c_void_p] * addresses + [ctypes.c_int64] * 2
        return ctypes.CFUNCTYPE(None, *types)(engine.get_function_address(name))

    return Kernels(function("forward", 4), function("backward", 3), function("update", 6), engine)


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


def _each(x: Tensor) -> list[int]:
    """The addresses of each run's numbers, which lie side by side."""
    first, runs = x.data_ptr(), x.shape[0]
    return [first] if runs == 1 else [first + run * x.stride(0) * x.element_size() for run in range(runs)]

"""Products with large weights, AdamW on such a product, and dropout, compiled for this processor by LLVM.

A layer of a large head on a batch of 16 is bound by its weights, which do not fit into a cache; libraries of matrix products
are made for other shapes. Three functions go over a weight once, and ask beforehand for what comes next:

- `forward`: x W + b;
- `backward`: g W^T;
- `update`: AdamW with the gradient x^T g, which is never written: a few numbers of it at a time are computed in registers.

Dropout goes over its numbers once, where torch does so four times, and computes GELU on the way; dropout, residual and layer
normalisation are one function too. All are written in LLVM's intermediate language (`ser.train.nn.kernel_code`) and compiled
by the package llvmlite in each process that needs them, the three for each multiple of eight rows (0.1 s; nothing is kept on
disk). With AVX-512 the first two also serve the many rows of frames, 16 at a time, and `gradient` writes x^T g. Where they are
not used (see `width`), torch does the same but for rounding. `benchmarks/train.md` says what they gain.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

ROWS = 32  # most of a batch for `update`, and for the products without AVX-512
BYTES = 4  # of a number
TILE = 16  # rows that the products go through at a time where there are more than ROWS
STEP = 8  # fewer rows are filled up to a multiple of it: functions are compiled for each number, and rows of zeros cost nothing
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


@cache
def is_wide() -> bool:
    """True if the processor has AVX-512 with its 32 registers; the bits are the same without."""
    from llvmlite.binding import get_host_cpu_features

    return bool(get_host_cpu_features().get("avx512vl"))


def fit(x: Tensor, weight: Tensor) -> bool:
    """True if the products are used for `x (runs, rows, K)` and `weight (runs, K, N)`; the number of runs does not count."""
    if not width() or x.dtype != torch.float32 or (x.shape[1] > ROWS and not is_wide()):
        return False
    return not (x.shape[1] == 0 or weight.shape[1] % INPUTS or weight.shape[2] % (VECTORS * width()))


@cache
def build(rows: int, eights: bool = True) -> Kernels:
    """Compile the functions for a number of rows; `eights`: K of all weights is a multiple of 8, not of 4 alone."""
    from ser.train.nn import kernel_code

    writers = [partial(write, rows=rows, wide=is_wide()) for write in (kernel_code.forward, kernel_code.backward)]
    writers.append(partial(kernel_code.update, rows=rows, wide=is_wide(), eights=eights))
    return Kernels(*_compiled({"forward": (4, 3), "backward": (3, 3), "update": (6, 2)}, writers))


@cache
def build_gradient() -> list[Any]:
    """Compile x^T g of many rows: a function of the addresses of x, g and the result, and of rows, N and K; and its code."""
    from ser.train.nn import kernel_code

    return _compiled({"gradient": (3, 3)}, [kernel_code.gradient])


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
    from ser.train.nn import kernel_code

    passes = kernel_code.dropout, kernel_code.gelu, kernel_code.gelu_gradient
    writers = [partial(write, n=width) for write in passes]
    return DropoutKernels(*_compiled({"dropout": (4, 2), "gelu": (4, 2), "gelu_gradient": (5, 2)}, writers))


class NormKernels(NamedTuple):
    """Compiled functions of the end of a layer, y = LayerNorm(x + dropout(h)); see `ser.train.nn.kernel_code`.

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
    from ser.train.nn import kernel_code

    passes = kernel_code.residual_norm, kernel_code.residual_norm_gradient, kernel_code.row_sums
    kinds = {"residual_norm": (9, 3), "residual_norm_gradient": (11, 3), "row_sums": (2, 2)}
    return NormKernels(*_compiled(kinds, [partial(write, n=width) for write in passes]))


def _compiled(kinds: dict[str, tuple[int, int]], writers: Sequence[Callable[..., None]]) -> list[Any]:
    """Functions by name, of some addresses and then some whole numbers, and last what owns their code."""
    from llvmlite import binding, ir

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = ir.Module()
    for write in writers:
        write(module)
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3
    )
    engine = binding.create_mcjit_compiler(binding.parse_assembly(str(module)), machine)
    engine.finalize_object()

    found = []
    for name, (addresses, integers) in kinds.items():
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * addresses, *[ctypes.c_int64] * integers)
        found.append(kind(engine.get_function_address(name)))
    return [*found, engine]


def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b, `(runs, rows, K)` -> `(runs, rows, N)`."""
    rows, x = x.shape[1], _filled(x)
    out = x.new_empty(*x.shape[:2], weight.shape[2])
    product = build(_tile(x)).forward
    for addresses in zip(*map(_each, (x, weight, bias, out)), strict=True):
        product(*addresses, *weight.shape[1:], x.shape[1])
    return out[:, :rows].contiguous()


def backward(g: Tensor, weight: Tensor) -> Tensor:
    """g W^T, `(runs, rows, N)` -> `(runs, rows, K)`."""
    rows, g = g.shape[1], _filled(g)
    out = g.new_empty(*g.shape[:2], weight.shape[1])
    product = build(_tile(g)).backward
    for addresses in zip(*map(_each, (g, weight, out)), strict=True):
        product(*addresses, *weight.shape[1:], g.shape[1])
    return out[:, :rows].contiguous()


def times(x: Tensor, w: Tensor, out: Tensor) -> None:
    """Write x w, `(rows, K)` and `(K, N)`, to `out (rows, N)`, which lies side by side."""
    if len(x) >= TILE and is_wide() and fit(x[None], w[None]):
        x, w = x.contiguous(), w.contiguous()
        bias = w.new_zeros(w.shape[1])
        build(TILE).forward(x.data_ptr(), w.data_ptr(), bias.data_ptr(), out.data_ptr(), *w.shape, len(x))
    else:
        torch.mm(x, w, out=out)


def times_transposed(x: Tensor, w: Tensor, out: Tensor) -> None:
    """Write x w^T, `(rows, N)` and `(K, N)`, to `out (rows, K)`, which lies side by side."""
    if len(x) >= TILE and is_wide() and fit(x[None], w[None]):
        x, w = x.contiguous(), w.contiguous()
        build(TILE).backward(x.data_ptr(), w.data_ptr(), out.data_ptr(), *w.shape, len(x))
    else:
        torch.mm(x, w.t(), out=out)


def transposed_times(x: Tensor, g: Tensor, out: Tensor) -> None:
    """Write x^T g, `(rows, K)` and `(rows, N)`, to `out (K, N)`, which lies side by side."""
    inputs, outputs = out.shape
    if width() and is_wide() and inputs >= TILE and outputs % TILE == 0 and x.dtype == torch.float32:
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
    for addresses in zip(*map(_each, (x, g, weight, mean, square)), strict=True):
        compiled.update(*addresses, ctypes.addressof(step), x.shape[2], g.shape[2])


def drops(x: Tensor, numbers: int) -> bool:
    """True if `Dropped` computes dropout of `numbers` of each run of such a tensor; the number of runs does not count."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or not width():
        return False
    return numbers > 0 and numbers % width() == 0


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
    """Dropout of x `(runs, ...)`, of which a run has a multiple of `width()` numbers."""

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
    function, scale = build_norm(width()).norm, ctypes.c_float(draws.scale)
    tensors = zip(*map(_each, (x, h, gain, shift, z, factors, y)), strict=True)
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
    function, scale = build_norm(width()).gradient, ctypes.c_float(draws.scale)
    given = zip(*map(_each, (gradient, *normal, gain)), strict=True)
    for bits, own, to in zip(draws.bits, given, zip(*map(_each, found), strict=True), strict=True):
        function(*own, bits.ctypes.data, ctypes.addressof(scale), *to, rows, size, draws.limit)
    return found


def row_sums(g: Tensor) -> Tensor:
    """Sums over rows, `(runs, rows, N)` -> `(runs, 1, N)`."""
    out = g.new_empty(len(g), 1, g.shape[2])
    for source, to in zip(_each(g.contiguous()), _each(out), strict=True):
        build_norm(width()).row_sums(source, to, *g.shape[1:])
    return out


def _dropped(name: str, draws: Draws, *given: Tensor) -> Tensor:
    """What a function of `DropoutKernels` gives of tensors of one shape."""
    given = tuple(x.contiguous() for x in given)
    out, factor = torch.empty_like(given[0]), ctypes.c_float(draws.scale)
    function, numbers = getattr(build_dropout(width()), name), out[0].numel()
    for bits, to, *own in zip(draws.bits, _each(out), *map(_each, given), strict=True):
        function(*own, bits.ctypes.data, to, ctypes.addressof(factor), numbers, draws.limit)
    return out


def _each(x: Tensor) -> list[int]:
    """The addresses of each run's numbers, which lie side by side."""
    first, runs = x.data_ptr(), x.shape[0]
    return [first] if runs == 1 else [first + run * x.stride(0) * x.element_size() for run in range(runs)]

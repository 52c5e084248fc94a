"""Which processors compiled functions are used on, and how code becomes functions."""

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from torch import Tensor

INPUTS = 4  # K of a weight that products are compiled for is a multiple of it
LLVM = 20  # the first version whose language is as it is written here
SETTING = os.environ.get("SER_KERNELS", "")


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


def functions(kinds: dict[str, tuple[int, int]], writers: Sequence[Callable[..., None]]) -> list[Any]:
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


def each_run(x: Tensor) -> list[int]:
    """The addresses of each run's numbers, which lie side by side."""
    first, runs = x.data_ptr(), x.shape[0]
    return [first] if runs == 1 else [first + run * x.stride(0) * x.element_size() for run in range(runs)]

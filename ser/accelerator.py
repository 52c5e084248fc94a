"""The GPUs of this machine, settings under which those of NVIDIA compute float32 in float32, and memory that is full."""

import fcntl
import gc
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from ser.errors import ConfigError

ALL_GPUS = "cuda:all"
MOST_GPUS = 64  # of a machine
_FULL = re.compile(r"CU\w+_STATUS_ALLOC_FAILED|(CUDA|HIP|MPS).*out of memory|DefaultCPUAllocator: (can't|not enough)")


def gpus() -> list[str]:
    """The GPUs of this machine, as torch names them.

    Raises:
        ConfigError: there is none.
    """
    import torch

    count = torch.cuda.device_count()
    if not count:
        raise ConfigError(
            f"--device {ALL_GPUS}: torch finds no GPU", expected="a machine with GPUs", action="Take --device cpu."
        )
    return [f"cuda:{number}" for number in range(count)]


def pick_device(device: str, every: bool = False) -> str:
    """A device of this machine as torch names it; for `auto` the first GPU, or else the CPU.

    Args:
        every: `cuda:all` is one too, where there are several GPUs: each worker process takes its own, see `device_here`.

    Raises:
        ConfigError: this machine has no such device.
    """
    import torch

    if every and device == ALL_GPUS:
        return device if len(gpus()) > 1 else "cuda"
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    count = torch.cuda.device_count()
    there = {"cpu": 1, "cuda": count, "mps": int(torch.backends.mps.is_available())}
    if (number or "0").isdecimal() and int(number or 0) < there.get(kind, 0):
        return device
    known = ["auto", "cpu", *(["cuda", f"cuda:0 to cuda:{count - 1}"] if count > 1 else ["cuda"] * count)]
    known += ["mps"] * there["mps"]
    raise ConfigError(
        f"--device {device}: there is no such device here",
        expected=f"one of {', '.join(known)}",
        found=None if len(known) > 2 else f"no GPU by torch {torch.__version__}",
        action="Take --device cpu.",
    )


def device_here(device: str) -> str:
    """The device itself; of `cuda:all` the GPU of this process."""
    return _own_gpu() if device == ALL_GPUS else device


@cache
def _own_gpu() -> str:
    """A GPU that no other worker process of the same command has, as far as there are so many.

    A byte of a file is locked for it, which the kernel frees when the process ends, however it does.
    """
    names = gpus()
    file = Path(tempfile.gettempdir()) / f"ser-gpus-{os.getuid()}"
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)  # open until the process ends
    for number, name in enumerate(names):
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, os.getppid() * MOST_GPUS + number)
        except OSError:  # it is another's, or there are no locks
            continue
        return name
    return names[os.getpid() % len(names)]


class _Exact:
    """The number of threads within `exact`, and the settings before the first of them."""

    lock = threading.Lock()
    inside = 0
    before: ClassVar[list[tuple[Any, str, Any]]] = []


@contextmanager
def exact(device: str) -> Iterator[None]:
    """Within the block a GPU computes float32 in float32, and a convolution gives the same numbers each time.

    torch lets cuDNN round the inputs of convolutions and LSTMs to TF32, 10 bits of a number, by itself, and those of matrix
    products where a program or a container's environment says so. The settings are of the whole process, and are put back when
    the last block has ended.
    """
    if not device.startswith("cuda"):
        yield
        return
    with _Exact.lock:
        if not _Exact.inside:
            _Exact.before = _set(_wanted())
        _Exact.inside += 1
    try:
        yield
    finally:
        with _Exact.lock:
            _Exact.inside -= 1
            if not _Exact.inside:
                _set(_Exact.before)


def _wanted() -> list[tuple[Any, str, Any]]:
    import torch
    from torch.backends import cuda, cudnn

    settings: list[tuple[Any, str, Any]] = [
        (cudnn, "deterministic", True),
        (cudnn, "allow_tf32", False),
        (torch, "float32_matmul_precision", "highest"),
    ]
    kinds = [getattr(cudnn, "conv", None), getattr(cudnn, "rnn", None), cuda.matmul]  # from torch 2.9 on
    return settings + [(k, "fp32_precision", "ieee") for k in kinds if hasattr(k, "fp32_precision")]


def _set(settings: list[tuple[Any, str, Any]]) -> list[tuple[Any, str, Any]]:
    """Make settings; return the former ones."""
    before = []
    for where, name, _ in settings:
        try:
            get = getattr(where, f"get_{name}", None)
            before.append((where, name, getattr(where, name) if get is None else get()))
        except RuntimeError:
            continue  # torch refuses to say where old and new ways of setting it were mixed; the new one says it
    for where, name, value in settings:
        put = getattr(where, f"set_{name}", None)
        setattr(where, name, value) if put is None else put(value)
    return before


def is_full(error: BaseException) -> bool:
    """True if no memory is left; cuBLAS, cuDNN, the driver, Apple's GPUs, torch and NumPy on a CPU say so in other words."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, torch.OutOfMemoryError) or _FULL.search(str(error)) is not None


def of_gpu(error: BaseException) -> bool:
    """True if the full memory is a GPU's, not that of this computer."""
    return not isinstance(error, MemoryError) and "CPU" not in str(error)


def empty() -> None:
    """Give back what no tensor uses any more; nothing happens without a GPU.

    Not to be called within `except`: the error holds on to all that the failed try had allocated.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        gc.collect()  # a graph that a hook or a closure refers back to is not freed by the end of its function
        torch.cuda.empty_cache()

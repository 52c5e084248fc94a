"""Random streams of each run: the draws of run k depend neither on the runs beside it nor on the order of work."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

AT_ONCE = 1 << 18  # numbers that a GPU draws for each run at a time, at least: half a megabyte
HALF = 1 << 15
PROCESS = threading.RLock()  # for the process's one generator: torch.nn draws initial weights from it, and dropout


def derive(*parts: object) -> int:
    """A 63-bit seed from names and numbers: SHA-256 of them, so that close inputs give unrelated seeds.

    >>> derive(0, "init") == derive(0, "init") != derive(1, "init")
    True
    """
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *purpose: object, device: str = "cpu") -> torch.Generator:
    """A generator for one purpose of one run (`init`, `order`, `dropout`, ... and the epoch)."""
    return torch.Generator(device=device).manual_seed(derive(seed, *purpose))


def bits(seed: int, *purpose: object) -> np.random.BitGenerator:
    """Raw bits for one purpose of one run, which come faster than a torch generator's numbers on a CPU (SFC64)."""
    return np.random.SFC64(derive(seed, *purpose))


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Draw initial weights within from this seed alone, and leave the process's global stream as it was."""
    with PROCESS, torch.random.fork_rng(devices=[]):
        # `torch.manual_seed` would also seed each GPU, and note a call stack each time.
        torch.default_generator.manual_seed(seed)
        yield


def dropout(seeds: Sequence[int], epoch: int, device: str) -> "list[torch.Generator | np.random.BitGenerator] | GpuBits":
    """The streams that the dropout masks of an epoch are drawn from, see `ser.train.nn.layers.Dropout`."""
    if device == "cpu":
        return [bits(s, "dropout", epoch) for s in seeds]
    generators = [generator(s, "dropout", epoch, device=device) for s in seeds]
    return GpuBits(generators, device) if device.startswith("cuda") else [*generators]


def permutations(seeds: Sequence[int], epoch: int, length: int) -> Tensor:
    """The order in which each run sees its training rows in an epoch, `(runs, length)`."""
    return torch.stack([torch.randperm(length, generator=generator(s, "order", epoch)) for s in seeds])


def cyclic(seeds: Sequence[int], length: int, first: int, count: int) -> Tensor:
    """Draws `first` to `first + count` of each run from `length` target rows, `(runs, count)`.

    A run goes through all rows in an order of its own, then again in another, and so on, independent of its source order.
    """
    passes = range(first // length, -(-(first + count) // length))
    begin = first - passes.start * length
    drawn = [torch.cat([torch.randperm(length, generator=generator(s, "target order", k)) for k in passes]) for s in seeds]
    return torch.stack(drawn)[:, begin : begin + count]


class GpuBits:
    """Random numbers of 16 bits for a stack of runs on a GPU: each run's from its own generator, many at a time.

    A kernel takes longer to start than to draw a batch's dropout. Drawn for each layer and run, 20 runs of cross-attention
    would start nearly twice as many kernels per step as one run, and 100 runs five times as many. A run's numbers depend on
    its generator and on the count of numbers that it took before, not on the runs beside it.

    Args:
        generators: one for each run, on the device.
        device: where the numbers are wanted.
    """

    def __init__(self, generators: Sequence[torch.Generator], device: str) -> None:
        self.generators = generators
        self.numbers = torch.empty(len(generators), 0, dtype=torch.int16, device=device)
        self.used = 0

    def below(self, bound: int, count: int) -> Tensor:
        """True for each run's next numbers, uniform in [0, 65536), that are below a bound of 1 ... 65536: `(runs, count)`."""
        if self.used + count > self.numbers.shape[1]:
            self.numbers = self.numbers.new_empty(len(self.generators), max(AT_ONCE, count))
            for row, own in zip(self.numbers, self.generators, strict=True):
                row.random_(-HALF, HALF, generator=own)
            self.used = 0
        taken = self.numbers[:, self.used : self.used + count]
        self.used += count
        return taken <= bound - 1 - HALF  # `< 65536 - HALF` would be a number that 16 bits do not hold

"""A run's own random streams: what run k draws does not depend on the runs beside it, nor on the order of work."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from ser.train.nn.draws import Draws


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
    """Raw bits for one purpose of one run, faster than a torch generator gives numbers on a CPU (SFC64)."""
    return np.random.SFC64(derive(seed, *purpose))


def dropout(seeds: Sequence[int], epoch: int, device: str) -> list[torch.Generator | np.random.BitGenerator] | Draws:
    """What each run draws its dropout masks of an epoch from, see `ser.train.nn.layers.Dropout`."""
    if device == "cpu":
        return [bits(s, "dropout", epoch) for s in seeds]
    generators = [generator(s, "dropout", epoch, device=device) for s in seeds]
    return Draws(generators, device) if device.startswith("cuda") else [*generators]


def permutations(seeds: Sequence[int], epoch: int, length: int) -> torch.Tensor:
    """The order in which each run sees its training rows in an epoch, `(runs, length)`."""
    return torch.stack([torch.randperm(length, generator=generator(s, "order", epoch)) for s in seeds])


def cyclic(seeds: Sequence[int], length: int, first: int, count: int) -> torch.Tensor:
    """Draws `first` to `first + count` of each run from `length` target rows, `(runs, count)`.

    A run goes through all rows in an order of its own, then again in another, and so on, independent of its source order.
    """
    passes = range(first // length, -(-(first + count) // length))
    begin = first - passes.start * length
    drawn = [
        torch.cat([torch.randperm(length, generator=generator(s, "target order", k)) for k in passes]) for s in seeds
    ]
    return torch.stack(drawn)[:, begin : begin + count]

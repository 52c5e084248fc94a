"""Random bits of a stack of runs on a GPU: each run's from its own generator, many at a time.

A kernel takes longer to start than to draw a batch's dropout. Drawn for each layer and run, 20 runs of cross-attention would
start nearly twice as many kernels a step as one, and 100 five times as many.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

AT_ONCE = 1 << 18  # numbers a run, at least: half a megabyte
HALF = 1 << 15


class Draws:
    """Numbers of 16 bits.

    What a run gets depends on its generator and on how many it asked for before, not on the runs beside it.

    Args:
        generators: one a run, on the device.
        device: where the numbers are wanted.
    """

    def __init__(self, generators: Sequence[torch.Generator], device: str) -> None:
        self.generators = generators
        self.numbers = torch.empty(len(generators), 0, dtype=torch.int16, device=device)
        self.used = 0

    def below(self, bound: int, count: int) -> Tensor:
        """Which of each run's next numbers, uniform in [0, 65536), are below a bound of 1 ... 65536: `(runs, count)`."""
        if self.used + count > self.numbers.shape[1]:
            self.numbers = self.numbers.new_empty(len(self.generators), max(AT_ONCE, count))
            for row, generator in zip(self.numbers, self.generators, strict=True):
                row.random_(-HALF, HALF, generator=generator)
            self.used = 0
        taken = self.numbers[:, self.used : self.used + count]
        self.used += count
        return taken <= bound - 1 - HALF  # `< 65536 - HALF` would be a number that 16 bits do not hold

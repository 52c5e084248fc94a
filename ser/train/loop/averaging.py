"""Several heads of one training: averages of weights (`swa`, `ema`), and the snapshots of an ensemble."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ser.train.loop.callbacks import Callback
from ser.train.nn.parameters import Parameters

DECAY = 0.999
SHARE = 0.25  # of the epochs, over which `swa` averages


class Average(Callback):
    """The average weights of a stack of runs, and of the running statistics that heads keep beside weights.

    The head is judged, chosen and kept with the average in place of its own weights; training goes on from its own.

    `swa`: the mean of the weights at the end of each of the last 25 % of the epochs, during which the learning rate stays
    where it was (Izmailov et al., UAI 2018). Running statistics are averaged too, where the paper computes them again.
    `ema`: an exponential mean over steps; at step t the old mean keeps min(0.999, (1 + t) / (10 + t)), so that the first
    steps are soon forgotten (Tarvainen & Valpola, NeurIPS 2017; the warm-up as in TensorFlow).

    Args:
        kind: `swa` or `ema`.
        parameters: of the stack.
        epochs: of the training.

    """

    def __init__(self, kind: str, parameters: Parameters, epochs: int) -> None:
        self.kind, self.parameters = kind, parameters
        self.first = first_averaged(epochs) if kind == "swa" else 1
        self.count = 0
        self.means = [t.clone() for t in self._current()]

    def _current(self) -> list[Tensor]:
        return [self.parameters.theta.detach(), *(b for b in self.parameters.buffers if b.is_floating_point())]

    @torch.no_grad()
    def after_step(self) -> None:
        if self.kind == "ema":
            self.count += 1
            self._follow(1 - min(DECAY, (1 + self.count) / (10 + self.count)))

    @torch.no_grad()
    def end_epoch(self, epoch: int) -> None:
        if self.kind == "swa" and epoch >= self.first:
            self.count += 1
            self._follow(1 / self.count)

    def _follow(self, share: float) -> None:
        for mean, now in zip(self.means, self._current(), strict=True):
            mean.lerp_(now, share)

    @contextmanager
    def judged(self) -> Iterator[None]:
        if not self.count:
            yield
            return
        current = self._current()
        own = [t.clone() for t in current]
        self._put(self.means)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for tensor, value in zip(self._current(), values, strict=True):
            tensor.copy_(value)

    def keep(self, index: Tensor) -> None:
        self.means[0] = self.means[0][index].clone()  # buffers belong to runs that train alone


def first_averaged(epochs: int) -> int:
    """The first epoch (1-based) of the average of `swa`.

    >>> first_averaged(40), first_averaged(1)
    (31, 1)
    """
    return epochs - math.ceil(SHARE * epochs) + 1


class SnapshotEnsemble(Callback):
    """The heads at the ends of a training's cycles, whose probabilities are averaged (Huang et al., ICLR 2017).

    Args:
        ends: the last epoch of each cycle.
        runs: their number.
    """

    def __init__(self, ends: list[int], runs: int) -> None:
        self.ends = ends
        self.taken: list[list[Tensor]] = [[] for _ in range(runs)]

    def chosen(self, run: int, epoch: int, weights: Tensor) -> Tensor:
        taken = self.taken[run]
        if epoch in self.ends:
            taken.append(weights)
        return torch.cat(taken) if len(taken) == len(self.ends) else weights

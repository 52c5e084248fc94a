"""Averages of weights over training: the head is judged, chosen and kept with the average in place of its own weights."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ser.train.nn.parameters import Parameters

KINDS = ("none", "swa", "ema")
DECAY = 0.999
SHARE = 0.25  # of the epochs, over which `swa` averages


class Average:
    """The average weights of a stack of runs, and of what heads keep beside weights (running statistics).

    `swa`: the mean of the weights at the end of each of the last 25 % of the epochs, during which the learning rate stays
    where it was (Izmailov et al., UAI 2018). Running statistics are averaged too, where the paper computes them anew.
    `ema`: an exponential mean over steps; at step t the old mean keeps min(0.999, (1 + t) / (10 + t)), so that the first
    steps are soon forgotten (Tarvainen & Valpola, NeurIPS 2017; the warm-up as in TensorFlow).

    Args:
        kind: `swa` or `ema`.
        parameters: of the stack.
        epochs: of the training.

    Attributes:
        first: the first epoch (1-based) whose average may be chosen.
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
        """Follow one step of the optimiser."""
        if self.kind == "ema":
            self.count += 1
            self._follow(1 - min(DECAY, (1 + self.count) / (10 + self.count)))

    @torch.no_grad()
    def after_epoch(self, epoch: int) -> None:
        """Take in the weights at the end of an epoch."""
        if self.kind == "swa" and epoch >= self.first:
            self.count += 1
            self._follow(1 / self.count)

    def _follow(self, share: float) -> None:
        for mean, now in zip(self.means, self._current(), strict=True):
            mean.lerp_(now, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The average in place of the weights within."""
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

    def keep(self, rows: Tensor) -> None:
        """Keep these runs only, `(n,)`. Buffers belong to runs that train alone."""
        self.means[0] = self.means[0][rows].clone()


def first_averaged(epochs: int) -> int:
    """The first epoch (1-based) of the average of `swa`.

    >>> first_averaged(40), first_averaged(1)
    (31, 1)
    """
    return epochs - math.ceil(SHARE * epochs) + 1

"""Learning-rate schedules, and AdamW over one block of parameters."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from ser.errors import ConfigError
from ser.train.nn.inplace_gradients import Gradients
from ser.train.nn.kernels import products
from ser.train.nn.parameters import block

WARM_UP = 0.1  # of the steps, for `cosine` and `linear`
RISE = 0.3  # of the steps, for `one-cycle`
START = 1 / 25  # of the highest rate, for `one-cycle`
BETAS, EPS = (0.9, 0.999), 1e-8


def factor(schedule: str, step: int, steps: int) -> float:
    """Share of the highest learning rate at a step (0-based) of `steps`.

    `cosine`: linear warm-up over the first tenth, then half a cosine to 0 (Loshchilov & Hutter 2017). `linear`: the same
    warm-up, then straight to 0. `one-cycle`: half a cosine up from 1/25 over 30 %, half a cosine down to 0 (Smith & Topin
    2018; momentum is not cycled). `cycles`: half a cosine to 0, with no warm-up: one cycle of a snapshot ensemble.
    """
    if schedule == "constant":
        return 1.0
    progress = (step + 0.5) / steps
    if schedule == "cycles":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule in ("cosine", "linear"):
        if progress < WARM_UP:
            return progress / WARM_UP
        rest = (progress - WARM_UP) / (1 - WARM_UP)
        return 1 - rest if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * rest))
    if progress < RISE:
        return START + (1 - START) * 0.5 * (1 - math.cos(math.pi * progress / RISE))
    return 0.5 * (1 + math.cos(math.pi * (progress - RISE) / (1 - RISE)))


def rate(schedule: str, step: int, per_epoch: int, ends: Sequence[int], last: int | None = None) -> float:
    """Share of the highest learning rate at a step (0-based) of a training.

    Args:
        per_epoch: steps of an epoch.
        ends: the last epoch of each cycle; of all of the training, where it is one.
        last: the step from which on the rate stays as it is.
    """
    if schedule == "cycles":
        epoch = step // per_epoch + 1
        end = next(e for e in ends if epoch <= e)
        begin = max((e for e in ends if e < end), default=0)
        return factor("cycles", step - begin * per_epoch, (end - begin) * per_epoch)
    return factor(schedule, step if last is None else min(step, last), per_epoch * ends[-1])


def cycle_ends(epochs: int, cycles: int) -> list[int]:
    """The last epoch (1-based) of each cycle of a snapshot ensemble, as even as whole epochs allow.

    >>> cycle_ends(10, 3)
    [3, 7, 10]

    Raises:
        ConfigError: fewer epochs than cycles.
    """
    if epochs < cycles:
        raise ConfigError(f"{cycles} snapshots in {epochs} epochs", expected=f"{cycles} epochs or more")
    return [round(epochs * (k + 1) / cycles) for k in range(cycles)]


class Views(NamedTuple):
    """A block in parts.

    Attributes:
        key: what the parts are taken from.
        written: those with a written gradient: of the weights, the gradient, and its two moving means.
        factored: the others, `(runs, n)`: the weights and the two means of each.
    """

    key: tuple[list[slice], list[slice], list[int]]
    written: list[list[Tensor]]
    factored: list[list[Tensor]]


class AdamW:
    """AdamW (Loshchilov & Hutter, ICLR 2019) by torch's fused pass, with its defaults (betas 0.9 and 0.999, eps 1e-8).

    `torch.optim.AdamW` computes the same, but to make one imports torch's compiler (half of a process's start-up), and each
    of its steps costs half a millisecond beside the arithmetic.

    Args:
        theta: `(runs, n)`, a leaf whose gradient is kept in place.
        weight_decay: decoupled.
    """

    def __init__(self, theta: Tensor, weight_decay: float) -> None:
        self.weight_decay = weight_decay
        self.theta = theta
        # Moving means of the gradient and of its square.
        self.mean, self.square = (block(theta.shape, theta.device) for _ in range(2))
        self.steps = torch.zeros((), device=theta.device)
        self.views: Views | None = None

    def step(self, lr: float, divisor: Tensor | None = None, gradients: Gradients | None = None) -> None:
        """One step.

        Args:
            divisor: of one number; the gradient is divided by it first, where it is written.
            gradients: tells what part of the gradient is not written; without, all of it is.
        """
        assert self.theta.grad is not None
        blocks = self.theta.detach(), self.theta.grad, self.mean, self.square
        factors = gradients.factors() if gradients else []
        views = self._views(blocks, *gradients.parts()) if gradients and factors else None
        weights, gradient, mean, square = [[b] for b in blocks] if views is None else views.written
        with torch.no_grad():
            adamw(
                weights,
                gradient,
                mean,
                square,
                [],
                [self.steps, *(self.steps.clone() for _ in weights[1:])],
                fused=True,
                grad_scale=divisor,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=lr,
                weight_decay=self.weight_decay,
                eps=EPS,
                maximize=False,
            )
        if views is not None:
            numbers = self._numbers(lr)
            for (x, g), (w, m, q) in zip(factors, views.factored, strict=True):
                products.update(x, g, w, m, q, numbers)

    def _views(self, blocks: tuple[Tensor, ...], factored: list[slice], written: list[slice]) -> Views:
        """The blocks of weights, gradient and moving means in parts, which are mostly those of the step before."""
        key = factored, written, [b.data_ptr() for b in blocks]
        if self.views is None or self.views.key != key:
            weights, _, *means = blocks
            parts = [[row[part] for row in b for part in written] for b in blocks]
            self.views = Views(key, parts, [[b[:, part] for b in (weights, *means)] for part in factored])
        return self.views

    def _numbers(self, lr: float) -> products.Step:
        count, (first, second) = float(self.steps), BETAS
        return products.Step(
            decay=1 - lr * self.weight_decay,
            keep_mean=first,
            add_mean=1 - first,
            keep_square=second,
            add_square=1 - second,
            correct=(1 - second**count) ** -0.5,
            eps=EPS,
            rate=lr / (1 - first**count),
        )

    def keep(self, index: Tensor, theta: Tensor) -> None:
        """Go on with these rows of the block, which are all of the new one."""
        self.theta = theta
        self.mean, self.square = self.mean[index], self.square[index]

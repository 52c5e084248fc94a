"""Learning-rate schedules as pure functions of training progress."""

import math
from collections.abc import Sequence

from ser.errors import ConfigError

WARM_UP = 0.1  # of the steps, for `cosine` and `linear`
RISE = 0.3  # of the steps, for `one-cycle`
START = 1 / 25  # of the highest rate, for `one-cycle`


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

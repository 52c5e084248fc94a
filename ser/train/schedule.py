"""Learning-rate schedules as pure functions of training progress."""

import math

WARM_UP = 0.1  # of the steps, for `cosine`
RISE = 0.3  # of the steps, for `one-cycle`
START = 1 / 25  # of the highest rate, for `one-cycle`


def factor(schedule: str, step: int, steps: int) -> float:
    """Share of the highest learning rate at a step (0-based) of `steps`.

    `cosine`: linear warm-up over the first tenth, then half a cosine to 0 (Loshchilov & Hutter 2017). `one-cycle`: half a
    cosine up from 1/25 over 30 %, half a cosine down to 0 (Smith & Topin 2018; momentum is not cycled).
    """
    if schedule == "constant":
        return 1.0
    progress = (step + 0.5) / steps
    if schedule == "cosine":
        if progress < WARM_UP:
            return progress / WARM_UP
        return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))
    if progress < RISE:
        return START + (1 - START) * 0.5 * (1 - math.cos(math.pi * progress / RISE))
    return 0.5 * (1 + math.cos(math.pi * (progress - RISE) / (1 - RISE)))

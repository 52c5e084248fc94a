"""The promise that losses and methods of adaptation share: a number for each run, whatever runs are beside it."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from ser.checks import hold

RUNS = 3
Part = TypeVar("Part", bound=nn.Module)


def of_three_runs(make: Callable[[], Part], spread: float) -> Part:
    """A part of three runs, in double precision, its own parameters different in each, and normal with a deviation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = make().double()
        for parameter in made.parameters():
            parameter.data = torch.randn(RUNS, *parameter.shape[1:], dtype=torch.double) * spread
    return made


def of_one_run(part: Part, run: int) -> Part:
    """The same part with the parameters of one of its runs alone."""
    for parameter in part.parameters():
        parameter.data = parameter.data[run : run + 1]
    return part


def gives_one_number_a_run(found: Tensor) -> None:
    """`(runs,)`, finite."""
    hold(found.shape == (RUNS,), f"expected the shape {(RUNS,)}; found {tuple(found.shape)}")
    hold(bool(found.isfinite().all()), f"expected finite numbers; found {found.tolist()}")

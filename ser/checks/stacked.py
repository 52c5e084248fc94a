"""The promise that losses and methods of adaptation share: a number for each run, whatever runs are beside it."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from ser.checks import hold

RUNS = 3
Part = TypeVar("Part", bound=nn.Module)


def of_three_runs(make: Callable[[], Part], spread: float, seed: int = 1) -> Part:
    """A part of three runs, in double precision, its own parameters different in each, and normal with a deviation.

    Args:
        seed: of what the part draws when it is made; its parameters are the same with any.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = make().double()
        torch.manual_seed(1)
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


def draws_parameters_alone(make: Callable[[], Part], value: Callable[[Part], Tensor]) -> None:
    """With the same parameters it has the same value, whatever was drawn when it was made.

    Parameters are drawn for each run. All else that a part draws is that of one run of a stack, and the others would read it.

    Args:
        value: of a part of three runs.
    """
    first, second = (value(of_three_runs(make, 1.0, seed)) for seed in (1, 2))
    same = torch.equal(first, second)
    hold(same, "it draws a buffer or a tensor in __init__, which all runs would share: draw it by streams.generator(0, NAME)")

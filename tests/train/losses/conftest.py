"""A step of three runs, and losses of three runs with parameters of their own."""

from collections.abc import Callable

import pytest
import torch

from ser.train.losses._base import Batch, term

RUNS, ROWS, CLASSES, SIZE = 3, 10, 4, 5


def _example(seed: int = 0) -> Batch:
    """A step of three runs in double precision; class 3 is missing, and some rows lack some of valence, arousal, dominance."""
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(RUNS, ROWS, 3, generator=random, dtype=torch.double)
    values[:, :3, 0], values[:, 5] = torch.nan, torch.nan
    target = torch.rand(RUNS, ROWS, CLASSES, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.double)
    return Batch(
        torch.randn(RUNS, ROWS, CLASSES, generator=random, dtype=torch.double),
        torch.randint(0, CLASSES - 1, (RUNS, ROWS), generator=random),
        torch.rand(RUNS, CLASSES, generator=random, dtype=torch.double) + 0.1,
        torch.tensor([[7, 40, 900, 0]] * RUNS),
        0.1,
        torch.randn(RUNS, ROWS, SIZE, generator=random, dtype=torch.double),
        values,
        target / target.sum(-1, keepdim=True),
    )


@pytest.fixture
def example() -> Callable[..., Batch]:
    return _example


def _stacked(name: str) -> torch.nn.Module:
    """A loss of three runs, in double precision, its own parameters different in each."""
    torch.manual_seed(1)
    one = term(name)(CLASSES, SIZE).double()
    for parameter in one.parameters():
        parameter.data = torch.randn(RUNS, *parameter.shape[1:], dtype=torch.double)
    return one


@pytest.fixture
def stacked() -> Callable[..., torch.nn.Module]:
    return _stacked

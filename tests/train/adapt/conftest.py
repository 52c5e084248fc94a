"""Two sides of a step of three runs, methods of three runs, and data with an unlabelled target."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ser.train.adapt._base import Adaptation, Side
from ser.train.adapt._base import method as method_of
from ser.train.loop.data import Data

RUNS, BATCH, SIZE, CLASSES = 3, 6, 5, 4


@pytest.fixture
def pair(data: Callable[..., Data]) -> Callable[..., Data]:
    """The toy data: rows 0 to 69 are source, the last 55 an unlabelled target, whose labels are nothing that can be read."""

    def make(kind: str = "pooled") -> Data:
        toy = data(kind)
        labels = toy.labels.copy()
        labels[95:] = -1
        return replace(
            toy, labels=labels, train=np.arange(70), validation=np.arange(70, 95), unlabelled=np.arange(95, 150)
        )

    return make


def _views(seed: int = 0) -> tuple[Side, Side]:
    random = torch.Generator().manual_seed(seed)

    def draw(size: int) -> Tensor:
        return torch.randn(RUNS, BATCH, size, generator=random, dtype=torch.double)

    return Side(draw(SIZE), draw(CLASSES)), Side(draw(SIZE) * 2 + 1, draw(CLASSES))


@pytest.fixture
def views() -> Callable[..., tuple[Side, Side]]:
    return _views


def _stacked(name: str, **options: Any) -> Adaptation:
    """A method of three runs, in double precision, its own parameters different in each."""
    torch.manual_seed(1)
    method = method_of(name)(CLASSES, SIZE, **options).double()
    for parameter in method.parameters():
        parameter.data = torch.randn(RUNS, *parameter.shape[1:], dtype=torch.double) * 0.3
    return method


@pytest.fixture
def stacked() -> Callable[..., Adaptation]:
    return _stacked

"""A step of three runs, and losses of three runs with parameters of their own."""

from collections.abc import Callable

import pytest
import torch

from ser.checks import losses
from ser.train.losses._base import Batch


@pytest.fixture
def example() -> Callable[..., Batch]:
    return losses.example


@pytest.fixture
def stacked() -> Callable[..., torch.nn.Module]:
    return losses.stacked

"""Two sides of a step of three runs, methods of three runs, and data with an unlabelled target."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ser.checks import adaptations
from ser.train.adapt._base import Adaptation, Side
from ser.train.loop.data import Data


@pytest.fixture
def pair(data: Callable[..., Data]) -> Callable[..., Data]:
    """The toy data: rows 0 to 69 are source, the last 55 an unlabelled target, whose labels are nothing that can be read."""

    def make(kind: str = "pooled") -> Data:
        toy = data(kind)
        labels = toy.labels.copy()
        labels[95:] = -1
        return replace(toy, labels=labels, train=np.arange(70), validation=np.arange(70, 95), unlabelled=np.arange(95, 150))

    return make


@pytest.fixture
def views() -> Callable[..., tuple[Side, Side]]:
    return adaptations.views


@pytest.fixture
def stacked() -> Callable[..., Adaptation]:
    return adaptations.stacked

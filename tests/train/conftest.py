"""Features in memory, of every kind that a store can give a head."""

from collections.abc import Callable

import pytest

from ser.checks import heads
from ser.features.blocks import Block
from ser.train.loop.data import Data


@pytest.fixture(scope="session")
def blocks() -> dict[str, Block]:
    """Features of 150 utterances in 4 classes; the labels are `numpy.arange(150) % 4`."""
    return heads.blocks()


@pytest.fixture
def data() -> Callable[..., Data]:
    """Training data of one kind of features: 100 rows to train, 25 to validate, 25 left."""
    return heads.example

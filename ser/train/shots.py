"""Subsets of labelled target data: nested, stratified, and the same for every head and method of a seed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.train import streams


def subsets(
    labels: NDArray[np.int64], rows: NDArray[np.int64], percentages: Sequence[float], seed: int
) -> dict[float, NDArray[np.int64]]:
    """Nested, stratified parts of training rows.

    Of each class the first `max(1, round(p % of its rows))` of one shuffled order are taken, so that a smaller part lies
    within every larger one, and 100 % is all of them. The order depends on the seed and the rows alone.

    Args:
        labels: class number of every row of the dataset.
        rows: the training rows.
        percentages: in (0, 100].
        seed: of the run and fold; not of the head.

    Returns:
        Percentage -> sorted row positions.
    """
    check_percentages(percentages)
    rng = np.random.default_rng(streams.derive(seed, "shots"))
    orders = [rng.permutation(rows[labels[rows] == c]) for c in np.unique(labels[rows])]
    return {
        p: np.sort(np.concatenate([order[: max(1, round(p / 100 * len(order)))] for order in orders]))
        for p in percentages
    }


def check_percentages(percentages: Sequence[float]) -> None:
    """Refuse shares that are none.

    Raises:
        ConfigError: no number, or one outside of (0, 100].
    """
    if not percentages or not all(0 < p <= 100 for p in percentages):
        raise ConfigError(f"percentages {list(percentages)}", expected="numbers above 0 and up to 100")

"""Subsets of labelled target data: nested, stratified, and the same for every head and method of a seed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.results.records.names import amount_name
from ser.train.nn import streams

Rows = NDArray[np.int64]


class Amount(NamedTuple):
    """An amount of labelled target data.

    Attributes:
        percentage: of each class of the training part, in (0, 100]; 0 is the source model itself.
        shots: utterances of each class; None where the amount is a percentage.
    """

    percentage: float = 0.0
    shots: int | None = None

    @property
    def name(self) -> str:
        return amount_name(self.percentage, self.shots)

    @property
    def facts(self) -> dict[str, Any]:
        """The amount as the keys of a run's record."""
        return {"percentage": self.percentage} if self.shots is None else {"shots": self.shots}

    def of(self, size: int) -> int:
        """The number of utterances out of a class of some size."""
        return min(size, self.shots) if self.shots is not None else max(1, round(self.percentage / 100 * size))


NOTHING = Amount()


def amounts(percentages: Sequence[float] | None, shots: Sequence[int] | None) -> list[Amount]:
    """All amounts in order: shots before percentages, the smaller before the larger; 10, 20, 50 and 100 % where none is given.

    Raises:
        ConfigError: none, a percentage outside of (0, 100], or shots below 1.
    """
    if percentages is None:
        percentages = () if shots else (10, 20, 50, 100)
    if not all(0 < p <= 100 for p in percentages) or not (percentages or shots):
        raise ConfigError(f"percentages = {list(percentages)}", expected="numbers above 0 and up to 100")
    if any(n < 1 or n != int(n) for n in shots or ()):
        raise ConfigError(f"shots = {list(shots or ())}", expected="whole numbers, 1 or more")
    by_number = [Amount(shots=n) for n in sorted({int(n) for n in shots or ()})]
    return by_number + [Amount(p) for p in sorted({float(p) for p in percentages})]


def subsets(
    labels: NDArray[np.int64], rows: Rows, asked: Sequence[Amount], seed: int, speakers: NDArray[Any] | None = None
) -> dict[Amount, Rows]:
    """Nested, stratified parts of training rows.

    Of each class the first ones of one order are taken, so that a smaller part lies within every larger one, and 100 % is all
    of them. The order depends on the seed and the rows alone, so heads, methods, shots and percentages share it.

    Args:
        labels: class number of every row of the dataset.
        rows: the training rows.
        asked: a percentage takes `max(1, round(p % of the class))` of a class, a number of shots that many or all there are.
        seed: of the run and fold; not of the head.
        speakers: of every row of the dataset. Where given, one speaker is used up before the next one's rows are taken, in one
            order of speakers for all classes: few labels then come from few speakers. The number of rows of each class stays
            the same; where the first speakers have too few of a class, the next ones give the rest.

    Returns:
        Amount -> sorted row positions.
    """
    rng = np.random.default_rng(streams.derive(seed, "shots"))
    orders = [rng.permutation(rows[labels[rows] == c]) for c in np.unique(labels[rows])]
    if speakers is not None:
        names, number = np.unique(speakers, return_inverse=True)
        place = np.random.default_rng(streams.derive(seed, "speakers")).permutation(len(names))
        orders = [order[np.argsort(place[number[order]], kind="stable")] for order in orders]
    return {a: np.sort(np.concatenate([order[: a.of(len(order))] for order in orders])) for a in asked}


def lacking(labels: NDArray[np.int64], rows: Rows, amount: Amount, classes: Sequence[str]) -> list[str]:
    """A note on the classes with fewer utterances in the training rows than shots are wanted, if there are any.

    Args:
        classes: names by the number in `labels`.
    """
    if amount.shots is None:
        return []
    counts = np.bincount(labels[rows], minlength=len(classes))
    few = [f"{c} {n}" for c, n in zip(classes, counts, strict=True) if n < amount.shots]
    return [f"{amount.name} asked for, fewer there and all of them taken: {', '.join(few)}"] if few else []

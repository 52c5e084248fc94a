"""Corpora of a union sampled equally often: the rows of the smaller are repeated until each has as many as the largest.

Every row is there as often as it fits whole; what is left over is drawn without replacement from the run's own stream, once,
so that an epoch has the same rows each time, in another order. Class weights and counts are those of the sampled rows.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.train.nn import streams
from ser.train.runs.job import Job

Rows = NDArray[np.int64]


def sampled(job: Job, rows: Rows, seeds: Sequence[int]) -> Rows:
    """The rows that each run is trained on: `(m,)` for all as they are, or balanced, `(runs, drawn)`."""
    if job.balance == "none":
        return rows
    corpora = job.data.frame["dataset"].to_numpy()[rows]
    return np.stack([balanced(rows, corpora, seed) for seed in seeds])


def drawn(job: Job, rows: Rows) -> int:
    """How many utterances an epoch has when these rows are balanced."""
    counts = job.data.frame["dataset"].iloc[rows].value_counts()
    return int(len(counts) * counts.max())


def balanced(rows: Rows, corpora: NDArray[np.object_], seed: int) -> Rows:
    """Rows of each corpus in equal numbers, for one run.

    >>> balanced(np.array([3, 5, 7, 9]), np.array(["a", "a", "a", "b"], dtype=object), 0).tolist()
    [3, 5, 7, 9, 9, 9]
    """
    places = [np.flatnonzero(corpora == name) for name in pd.unique(corpora)]
    most = max(map(len, places))
    times = np.empty(len(rows), dtype=np.int64)
    for number, own in enumerate(places):
        whole, rest = divmod(most, len(own))
        times[own] = whole
        times[np.random.Generator(streams.bits(seed, "balance", number)).permutation(own)[:rest]] += 1
    return np.repeat(rows, times)

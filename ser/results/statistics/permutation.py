"""Permutation tests of a paired difference: models shuffled, speakers swapped, and both together.

All take confusion counts of the same utterances by two systems, A and B. Under the null hypothesis, which of the two a
result is called after is arbitrary; what is exchanged decides the question that is asked (see `ser.results.statistics.paired`).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ser.results.metrics.measures import score_of

PERMUTATIONS = 9999
BLOCK = 256
ENOUGH = 8  # units that can be swapped whole: fewer give no p below 2 / 2**7 = 0.016, too coarse for several comparisons

Counts: TypeAlias = NDArray[Any]  # confusion counts, or the sums of another measure
Floats: TypeAlias = NDArray[np.float64]


def swap_test(a: Counts, b: Counts, metric: str = "UA", *, permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """Two-sided p-value of the difference in a metric when units of A and B are swapped.

    The statistic is the mean over runs of the metric on the counts of all units. Where there are no more than `permutations`
    ways of swapping, all are taken and p is exact: the share of them with a difference at least as large. Otherwise as many are
    drawn, and p = (1 + those at least as large) / (1 + drawn) (Phipson & Smyth 2010), which is never 0.

    Args:
        a, b: `(units, runs, K, K)` confusion counts of the same utterances.
        seed: of the draws.

    >>> right, wrong = np.array([[1, 0], [0, 1]]), np.array([[0, 1], [1, 0]])
    >>> a, b = np.stack([right] * 6)[:, None], np.stack([wrong] * 6)[:, None]
    >>> swap_test(a, b), swap_test(a, a)
    (0.03125, 1.0)
    """
    units = len(a)
    observed = observed_difference(a, b, metric)
    if units < 63 and 2**units <= permutations:
        every = (np.arange(2**units)[:, None] >> np.arange(units)) & 1
        return float((np.abs(_swapped(a, b, metric, every)) >= abs(observed) - 1e-12).mean())
    return _share(swap_draws(a, b, metric, permutations, seed), observed)


def shuffle_test(a: Counts, b: Counts, metric: str = "UA", *, permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """Two-sided p-value of the difference in a metric when the models of each fold are shuffled between A and B.

    The statistic is the mean over runs of the metric on the counts of all folds. p is as in `swap_test` where it is drawn.

    Args:
        a, b: `(folds, runs, K, K)` confusion counts of the same utterances.
        seed: of the draws.
    """
    return _share(shuffle_draws(a, b, metric, permutations, seed), observed_difference(a, b, metric))


def joint_test(
    a: Counts,
    b: Counts,
    speaker: Sequence[int] | NDArray[np.int64],
    fold: Sequence[int] | NDArray[np.int64],
    metric: str = "UA",
    *,
    shuffled: bool = True,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> float:
    """Two-sided p-value where both the models and the speakers are a sample: other seeds and other speakers at once.

    Where folds and speakers fall into `ENOUGH` parts or more that share neither (leave-one-speaker-out, say), each part is
    swapped whole: that is right whatever varies. Otherwise each draw is the sum of one over models (shuffled) and one over
    speakers (swapped), of which the second is scaled to the variance of speakers beyond that of models. With v_s the variance
    of the difference over speakers, v_c over the runs within speaker and fold, v_m over the runs within fold (all of the
    difference itself, by the gradient of the metric), the whole is v_m + v_s - v_c, as v_c is in both of the others (two-way
    clusters: Cameron, Gelbach & Miller, Journal of Business & Economic Statistics 2011; Owen, Annals of Applied Statistics
    2007). So swaps are scaled by k, k^2 = (v_s - v_c) / v_s within 0 and 1. Shuffles are too wide by the differences of A and
    B between folds that are those of their speakers; they are scaled to the variance (1 - k^2) of their own + k^2 v_m. Without
    differences over speakers this is `shuffle_test`, without those over models `swap_test`; `benchmarks/paired_test.py`
    measures its size between.

    Args:
        a, b: `(cells, runs, K, K)` confusion counts of the same utterances; a cell is a speaker in a fold.
        speaker, fold: numbers of each cell, from 0.
        shuffled: true if models may be shuffled between A and B; false where nothing is random in one of them: each model of
            the other then changes places with it.
    """
    who, where = np.asarray(speaker), np.asarray(fold)
    runs = a.shape[1]
    observed = observed_difference(a, b, metric)
    parts = _components(who, where)
    if parts.max() + 1 >= ENOUGH:
        return swap_test(_grouped(a, parts), _grouped(b, parts), metric, permutations=permutations, seed=seed)
    one, other = (_grouped(c, where) for c in (a, b))
    if shuffled:
        models = shuffle_draws(one, other, metric, permutations, seed)
    else:
        alone = (len(one) * runs, 1, *one.shape[2:])
        models = swap_draws(one.reshape(alone), other.reshape(alone), metric, permutations, seed)
    swaps = swap_draws(_grouped(a, who), _grouped(b, who), metric, permutations, seed + 1)
    v_m, v_s, v_c = variances(a, b, who, where, metric)
    share = min(1.0, max(0.0, 1 - v_c / v_s)) if v_s > 0 and runs > 1 else 0.0
    own = float((models**2).mean())
    wanted = (1 - share) * own + share * min(v_m, own)
    return _share(models * (np.sqrt(wanted / own) if own > 0 else 1.0) + swaps * np.sqrt(share), observed)


def variances(a: Counts, b: Counts, who: Counts, where: Counts, metric: str) -> tuple[float, float, float]:
    """Variance of the difference in a metric over models, over speakers, and over runs within cells.

    Each is that of the whole difference as if only these were drawn again; the third is part of both others. The first and
    the third are 0 with one run.

    Args:
        a, b: `(cells, runs, K, K)` confusion counts.
        who, where: numbers of each cell's speaker and fold.
    """
    runs = a.shape[1]
    values = [_influence(c, metric) for c in (a, b)]
    speakers = _grouped(values[0] - values[1], who).mean(1)
    over_speakers = len(speakers) / max(1, len(speakers) - 1) * float((speakers**2).sum())
    if runs < 2:
        return 0.0, over_speakers, 0.0
    over_models, within = (
        sum(float(_grouped(v, unit).var(1, ddof=1).sum()) / runs for v in values) for unit in (where, np.arange(len(a)))
    )
    return over_models, over_speakers, within


def _influence(counts: Counts, metric: str) -> Floats:
    """The contribution of each cell and run to the metric of all, to first order: `(cells, runs)`, mean 0 over cells."""
    total = counts.sum((0, 1)) / counts.shape[1]
    seen = np.argwhere(total != 0)
    steps = np.repeat(total[None], len(seen), 0)
    # Counts share one step; other sums differ in size, and each has a step of its own.
    same = counts.dtype.kind in "iu"
    step = 1e-5 * (np.full(len(seen), float(total.sum())) if same else np.abs(total[tuple(seen.T)]))
    steps[np.arange(len(seen)), seen[:, 0], seen[:, 1]] += step
    slope = np.zeros_like(total)
    slope[tuple(seen.T)] = (score_of(steps, metric) - score_of(total, metric)) / step
    return np.asarray(np.einsum("srij,ij->sr", counts, slope))


def _components(who: Counts, where: Counts) -> Counts:
    """Number of the part of each cell; two parts share neither a speaker nor a fold."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = int(who.max()) + 1, int(where.max()) + 1
    links = coo_array((np.ones(len(who)), (who, size[0] + where)), shape=(sum(size), sum(size)))
    return np.asarray(connected_components(links, directed=False)[1][who], dtype=np.int64)


def _grouped(counts: Counts, unit: Counts) -> Counts:
    """Counts, or shares, summed over the cells of each unit."""
    found = np.zeros((int(unit.max()) + 1, *counts.shape[1:]), dtype=counts.dtype)
    np.add.at(found, unit, counts)
    return found


def observed_difference(a: Counts, b: Counts, metric: str) -> float:
    """The metric of A minus that of B on the counts of all units, mean over runs."""
    return float(_difference(a.sum(0)[None], b.sum(0)[None], metric)[0])


def swap_draws(a: Counts, b: Counts, metric: str, permutations: int, seed: int) -> Floats:
    """Differences `(permutations,)` with units swapped at random."""
    return _swapped(a, b, metric, np.random.default_rng(seed).integers(0, 2, (permutations, len(a))))


def _swapped(a: Counts, b: Counts, metric: str, swaps: Counts) -> Floats:
    if (added := _added(a, b, metric)) is not None:
        one_adds, other_adds = (v.mean(1) for v in added)
        return np.asarray((one_adds - other_adds).sum() + 2 * (swaps.astype(np.float64) @ (other_adds - one_adds)))
    flat, delta = (a.sum(0), b.sum(0)), (b - a).reshape(len(a), -1).astype(np.float64)

    def one(rows: slice) -> Floats:
        moved = (swaps[rows].astype(np.float64) @ delta).astype(a.dtype).reshape(-1, *a.shape[1:])
        return _difference(flat[0] + moved, flat[1] - moved, metric)

    return _in_blocks(one, len(swaps))


def shuffle_draws(a: Counts, b: Counts, metric: str, permutations: int, seed: int) -> Floats:
    """Differences `(permutations,)` with the models of each fold shuffled between A and B."""
    folds, runs = a.shape[:2]
    added = _added(a, b, metric)
    models = np.concatenate([a, b] if added is None else added, axis=1)
    rng = np.random.default_rng(seed)

    def one(rows: slice) -> Floats:
        order = rng.random((rows.stop - rows.start, folds, 2 * runs)).argsort(-1)
        shuffled = models[np.arange(folds)[None, :, None], order].sum(1)
        if added is not None:
            return np.asarray((shuffled[:, :runs] - shuffled[:, runs:]).mean(-1))
        return _difference(shuffled[:, :runs], shuffled[:, runs:], metric)

    return _in_blocks(one, permutations)


def _added(a: Counts, b: Counts, metric: str) -> list[Floats] | None:
    """The share of each unit and run in the metric, `(units, runs)` of A and of B; None if it is not a sum of shares.

    UA and WA are such sums where A, B and all runs were tested on the same: the utterances of each class are then the same
    whatever changes places. Draws are several times faster so.
    """
    support = a.sum(-1)
    if metric not in ("UA", "WA") or a.dtype.kind not in "iu" or (np.stack([a.sum(-1), b.sum(-1)]) != support[:, :1]).any():
        return None
    number = support[:, 0].sum(0)
    seen = number > 0
    weight = seen / np.maximum(number, 1) / seen.sum() if metric == "UA" else np.full(len(number), 1 / number.sum())
    return [np.diagonal(counts, axis1=-2, axis2=-1) @ weight for counts in (a, b)]


def _in_blocks(one: Callable[[slice], Floats], number: int) -> Floats:
    """Draw in blocks: all draws at once would not fit into memory."""
    blocks = (slice(first, min(number, first + BLOCK)) for first in range(0, number, BLOCK))
    return np.concatenate([one(rows) for rows in blocks])


def _difference(a: NDArray[Any], b: NDArray[Any], metric: str) -> Floats:
    """Metric of A minus metric of B, mean over runs: `(n, runs, K, K)` each -> `(n,)`."""
    return np.asarray((score_of(a, metric) - score_of(b, metric)).mean(-1))


def _share(draws: Floats, observed: float) -> float:
    return float((1 + (np.abs(draws) >= abs(observed) - 1e-12).sum()) / (1 + len(draws)))

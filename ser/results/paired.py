"""Two experiments compared on the same test utterances: a paired difference, its interval, and permutation tests.

Under the null hypothesis the two systems can change places: which results are called A's is arbitrary. All ways of exchanging
them (or many, drawn at random) give the distribution of the difference (Good, "Permutation, Parametric, and Bootstrap Tests
of Hypotheses", 2005; Dror et al., ACL 2018). What is exchanged decides what is asked:

- models: would other seeds turn the result round? In each fold the trained models of both are dealt anew to A and B; the test
  speakers stay as they are. Where nothing is random in one of them (a logistic regression, say), its runs are copies and cannot
  be dealt: each model of the other changes places with it.
- speakers: would other speakers? A's and B's predictions of a speaker are swapped, of all runs together; the models stay.

Either alone is too sure of itself where the other kind of luck is at work (a simulation in the tests), so a difference has to
stand both: `p` is the larger of the two (an intersection-union test: Berger, Technometrics 1982).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import TrainingError
from ser.results.metrics import encode, scores_from_counts
from ser.results.names import METRICS
from ser.results.statistics import describe, tally

PERMUTATIONS = 9999
RESAMPLES = 2000
_BLOCK = 256

Counts = NDArray[np.int64]


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
    exact = 2**units <= permutations if units < 63 else False
    if exact:
        swaps = (np.arange(2**units)[:, None] >> np.arange(units)) & 1
    else:
        swaps = np.random.default_rng(seed).integers(0, 2, (permutations, units))
    observed = abs(_difference(a.sum(0)[None], b.sum(0)[None], metric)[0])
    larger = 0
    flat, delta = (a.sum(0), b.sum(0)), (b - a).reshape(units, -1).astype(np.float64)
    for block in np.array_split(swaps, -(-len(swaps) // _BLOCK)):
        moved = (block.astype(np.float64) @ delta).reshape(len(block), *a.shape[1:])
        larger += int((np.abs(_difference(flat[0] + moved, flat[1] - moved, metric)) >= observed - 1e-12).sum())
    return larger / len(swaps) if exact else (1 + larger) / (1 + len(swaps))


def deal_test(a: Counts, b: Counts, metric: str = "UA", *, permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """Two-sided p-value of the difference in a metric when the models of each fold are dealt anew to A and B.

    The statistic is the mean over runs of the metric on the counts of all folds. p is as in `swap_test` where it is drawn.

    Args:
        a, b: `(folds, runs, K, K)` confusion counts of the same utterances.
        seed: of the draws.
    """
    folds, runs = a.shape[:2]
    models = np.concatenate([a, b], axis=1).astype(np.float64)
    rng = np.random.default_rng(seed)
    observed = abs(_difference(a.sum(0)[None], b.sum(0)[None], metric)[0])
    larger, left = 0, permutations
    while left:
        block = min(left, _BLOCK)
        order = rng.random((block, folds, 2 * runs)).argsort(-1)
        dealt = models[np.arange(folds)[None, :, None], order].sum(1)
        larger += int((np.abs(_difference(dealt[:, :runs], dealt[:, runs:], metric)) >= observed - 1e-12).sum())
        left -= block
    return (1 + larger) / (1 + permutations)


def _difference(a: NDArray[Any], b: NDArray[Any], metric: str) -> NDArray[np.float64]:
    """Metric of A minus metric of B, mean over runs: `(n, runs, K, K)` each -> `(n,)`."""
    return np.asarray((scores_from_counts(a)[metric] - scores_from_counts(b)[metric]).mean(-1))


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, so that 0.05 bounds the chance of any false positive (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(v) for v in adjusted]


def with_holm(comparisons: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `compare` gave for several pairs, each with `p_holm`: its p adjusted for the number of all that have one, else None.

    >>> with_holm([{"p": 0.02}, {"p": None}, {"p": 0.01}])
    [{'p': 0.02, 'p_holm': 0.02}, {'p': None, 'p_holm': None}, {'p': 0.01, 'p_holm': 0.02}]
    """
    adjusted = iter(holm([c["p"] for c in comparisons if c["p"] is not None]))
    return [{**c, "p_holm": None if c["p"] is None else next(adjusted)} for c in comparisons]


def difference_interval(
    a: Counts, b: Counts, metric: str = "UA", *, resamples: int = RESAMPLES, confidence: float = 0.95, seed: int = 0
) -> list[float]:
    """Percentile interval of the difference when speakers and runs are drawn again, both with replacement.

    Drawing both is the pigeonhole bootstrap (Owen, Annals of Applied Statistics 2007); it errs on the wide side. A and B
    get the same draws, so what they have in common cancels.

    Args:
        a, b: `(speakers, runs, K, K)`.

    Returns:
        `[low, high]`.
    """
    speakers, runs = a.shape[:2]
    rng = np.random.default_rng(seed)
    who = rng.multinomial(speakers, np.full(speakers, 1 / speakers), size=resamples).astype(np.float64)
    which = rng.multinomial(runs, np.full(runs, 1 / runs), size=resamples) / runs
    shape, values = a.shape[1:], []
    flat = [x.reshape(speakers, -1).astype(np.float64) for x in (a, b)]
    for rows in np.array_split(np.arange(resamples), -(-resamples // _BLOCK)):
        sums = [(who[rows] @ x).reshape(len(rows), *shape) for x in flat]
        gap = scores_from_counts(sums[0])[metric] - scores_from_counts(sums[1])[metric]
        values.append((np.nan_to_num(gap) * which[rows]).sum(-1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return [float(low), float(high)]


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    classes: Sequence[str],
    metric: str = "UA",
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare two experiments by their test predictions.

    Args:
        a, b: frames of predictions with the same runs, folds and test utterances.
        metric: one of `METRICS`; the difference is that of the pooled metric, mean over runs.

    Returns:
        `metric`; `difference` (A minus B); `ci_95` (over speakers and runs; Student's t over runs where speakers are not
        known; None where neither is possible); `effect_size`: mean over standard deviation of the speakers' differences, or
        the models' (Cohen's d_z), None where those do not vary; `tests`: by `models` and `speakers` the `p` and the number of
        `units` of each system, None where there are fewer than two (runs that are copies of each other count once); `p`: the
        larger of the two, None without any.

    Raises:
        TrainingError: they were not tested on the same.
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; expected one of {', '.join(METRICS)}")
    frames = [_test_rows(frame) for frame in (a, b)]
    _refuse_others(*frames)
    by_fold = [_counts(frame, classes, frame["fold"]) for frame in frames]
    by_speaker = [_counts(frame, classes, frame["speaker"].astype(str)) for frame in frames]
    known = len(by_speaker[0]) > 1 and not (frames[0]["speaker"] == "").any()
    each = [_is_copies(frame) for frame in frames]
    copies = all(each)
    models = [c[:, :1] for c in by_fold] if copies else by_fold
    tests: dict[str, Any] = {"models": None, "speakers": None}
    units = len(models[0]) * models[0].shape[1]
    if units > 1:
        # Copies cannot be dealt among models that vary: each model changes places with what it is compared with.
        test = deal_test if each[0] == each[1] else swap_test
        pair = models if test is deal_test else [c.reshape(units, 1, *c.shape[2:]) for c in models]
        p = test(pair[0], pair[1], metric, permutations=permutations, seed=seed)
        tests["models"] = {"p": p, "units": units}
    if known:
        p = swap_test(by_speaker[0], by_speaker[1], metric, permutations=permutations, seed=seed)
        tests["speakers"] = {"p": p, "units": len(by_speaker[0])}
    p_values = [t["p"] for t in tests.values() if t is not None]
    over_speakers = difference_interval(by_speaker[0], by_speaker[1], metric, seed=seed) if known else None
    gaps = scores_from_counts(by_fold[0].sum(0))[metric] - scores_from_counts(by_fold[1].sum(0))[metric]
    return {
        "metric": metric,
        "difference": float(gaps.mean()),
        "ci_95": over_speakers if known or copies else describe(gaps)["ci_95"],
        "effect_size": _effect(_gaps(by_speaker, metric).mean(1) if known else _gaps(by_fold, metric).ravel()),
        "tests": tests,
        "p": max(p_values) if p_values else None,
    }


def _gaps(pair: list[Counts], metric: str) -> NDArray[np.float64]:
    """Differences of each unit and run, `(units, runs)`."""
    return np.asarray(scores_from_counts(pair[0])[metric] - scores_from_counts(pair[1])[metric])


def _effect(gaps: NDArray[np.float64]) -> float | None:
    spread = float(gaps.std(ddof=1)) if len(gaps) > 1 else 0.0
    return float(gaps.mean()) / spread if spread > 1e-12 else None


def _is_copies(frame: pd.DataFrame) -> bool:
    """Whether all of several runs predict the same: nothing is random in them, and five are no more evidence than one."""
    alike = (frame.groupby(["fold", "utterance_id"])["predicted"].nunique() == 1).all()
    return bool(alike) and frame["run"].nunique() > 1


def _test_rows(frame: pd.DataFrame) -> pd.DataFrame:
    rows = frame[frame["split"] == "test"].astype({"fold": str}).sort_values(["run", "fold", "utterance_id"])
    ordered: pd.DataFrame = rows.reset_index(drop=True)
    return ordered


def _refuse_others(a: pd.DataFrame, b: pd.DataFrame) -> None:
    for column in ("run", "fold", "utterance_id", "true", "speaker"):
        if len(a) != len(b) or (a[column].to_numpy() != b[column].to_numpy()).any():
            raise TrainingError(
                "the two experiments were not tested on the same",
                expected="the same runs, folds, utterances and labels",
                found=f"{len(a)} and {len(b)} test predictions" if len(a) != len(b) else f"another {column}",
            )


def _counts(frame: pd.DataFrame, classes: Sequence[str], unit: "pd.Series[str]") -> Counts:
    """Confusion counts `(units, runs, K, K)`."""
    names, number = np.unique(unit.to_numpy(dtype=str), return_inverse=True)
    runs, run = np.unique(frame["run"].to_numpy(dtype=np.int64), return_inverse=True)
    truth, guess = encode(frame["true"].to_numpy(), classes), encode(frame["predicted"].to_numpy(), classes)
    shape = (len(names), len(runs), len(classes), len(classes))
    return tally(shape, number.astype(np.int64), run.astype(np.int64), truth, guess)

"""Mean, deviation and intervals: over runs (Student's t) and over speakers (cluster bootstrap)."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import TrainingError
from ser.results.metrics.measures import Measure, measure_of
from ser.results.records.numbers import RANGES, Described, Metric, Metrics

RESAMPLES = 1000
TAIL = (1 - 0.95) / 2  # in floating point not 0.025, and recorded quantiles of speakers are of this one
# Quantiles of Student's t at 0.975 for 1 to 30 degrees of freedom, as `scipy.special.stdtrit` gives them: importing it takes
# a fifth of a second, a tenth of a small fit.
T_975 = (
    12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934, 2.5705818356363146, 2.4469118511449786,
    2.364624251592784, 2.306004135204166, 2.262157162798205, 2.228138851986274, 2.200985160091639, 2.1788128296672284,
    2.1603686564627913, 2.144786687917804, 2.131449545559776, 2.1199052992212546, 2.1098155778333156, 2.1009220402410382,
    2.0930240544083087, 2.085963447265864, 2.0796138447276795, 2.0738730679040254, 2.0686576104190486, 2.0638985616280245,
    2.0595385527532972, 2.0555294386428735, 2.0518305164802846, 2.0484071417952454, 2.045229642132703, 2.0422724563012378,
)  # fmt: skip


AnyDescribed = TypeVar("AnyDescribed", bound=Described)


def describe(values: Sequence[float] | NDArray[Any]) -> Described:
    """Mean, standard deviation and interval of one number per run; see `describe_as`.

    >>> describe([0.5, 0.75]).mean, describe([0.5]).ci_95
    (0.625, None)
    """
    return describe_as(Described, values)


def describe_as(kind: type[AnyDescribed], values: Sequence[float] | NDArray[Any]) -> AnyDescribed:
    """Mean, standard deviation and interval of one number per run, as an object of a kind of `Described`.

    mean m, std s = sqrt(sum (x_i - m)^2 / (n - 1)), interval m ± t_{n-1, 0.975} s / sqrt(n). The interval is about
    the mean over seeds: it says nothing about other speakers or other data, and is not cut to the metric's range.

    Args:
        values: `(n,)`, n of 1 or more.

    Returns:
        With one value `std` and `ci_95` are None.

    Raises:
        TrainingError: no values, or one that is not finite.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x):
        raise TrainingError("nothing to describe", expected="one number per run", found=f"an array of shape {x.shape}")
    if not np.isfinite(x).all():
        raise TrainingError(f"run {int((~np.isfinite(x)).argmax())} has a metric that is not finite", found=x.tolist())
    mean = float(x.mean())
    if len(x) == 1:
        return kind(mean=mean, std=None, ci_95=None, n=1, values=x.tolist())
    std = float(x.std(ddof=1))
    half = student_t(len(x) - 1) * std / float(np.sqrt(len(x)))
    return kind(mean=mean, std=std, ci_95=(mean - half, mean + half), n=len(x), values=x.tolist())


def student_t(degrees: int) -> float:
    """The quantile of Student's t at 0.975 of so many degrees of freedom."""
    if degrees <= len(T_975):
        return T_975[degrees - 1]
    from scipy.special import stdtrit  # scipy.stats takes over half a second to import

    return float(stdtrit(degrees, 0.975))


def metrics_over_runs(values: Mapping[str, Sequence[float] | NDArray[np.float64]]) -> Metrics:
    """Describe metrics, `(runs,)` each, over runs."""
    return Metrics(**{name: describe_as(RANGES.get(name, Metric), each) for name, each in values.items()})  # type: ignore[arg-type]


def drawn_again(units: int, resamples: int, seed: int = 0) -> NDArray[np.float64]:
    """Counts of each unit (such as a speaker) when as many are drawn again with replacement, `(resamples, units)`."""
    found = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=resamples)
    return np.asarray(found, dtype=np.float64)


def unit_counts(frame: pd.DataFrame, classes: Sequence[str], unit: "pd.Series[str]") -> NDArray[Any]:
    """Confusion counts `(units, runs, K, K)` of predictions, or the sums of another measure; units and runs in sorted order."""
    names, number = np.unique(unit.to_numpy(dtype=str), return_inverse=True)
    runs, run = np.unique(frame["run"].to_numpy(dtype=np.int64), return_inverse=True)
    shape = (len(names), len(runs))
    return measure_of(frame).tally(frame, classes, shape, number.astype(np.int64), run.astype(np.int64))


def known_mean(values: NDArray[np.float64]) -> float | None:
    """The mean of values `(n,)` that are not NaN; None where there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def quantile_interval(draws: NDArray[np.float64], tail: float = 0.025) -> tuple[float, float] | None:
    """The interval from the quantile `tail` to 1 - `tail` of draws `(n,)`; NaN are left out, None where all are."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return None
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def cluster_intervals(
    counts: NDArray[Any], measure: Measure, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]] | None:
    """Percentile intervals of all metrics when speakers, not utterances, are drawn again with replacement.

    Utterances of a speaker are alike, so the speakers are the sample (cluster bootstrap: Davison & Hinkley, "Bootstrap
    Methods and their Application", 1997, ch. 3.8). In each resample a metric is computed per run over the drawn speakers and
    then averaged over the runs; the runs themselves are not drawn.

    Args:
        counts: `(speakers, runs, K, K)` confusion counts, or the sums of another measure.
        seed: of the draws; the same counts and seed give the same interval.

    Returns:
        metric -> (low, high); None with fewer than two speakers.
    """
    speakers = len(counts)
    if speakers < 2:
        return None
    intervals = np.quantile(scores_drawn_again(counts, measure, resamples, seed), [TAIL, 1 - TAIL], axis=1).T
    return {name: (float(low), float(high)) for name, (low, high) in zip(measure.names, intervals, strict=True)}


def scores_drawn_again(
    counts: NDArray[Any], measure: Measure, resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """All metrics, mean over the runs, when speakers are drawn again, `(metrics, resamples)`; see `cluster_intervals`."""
    weights = drawn_again(len(counts), resamples, seed)
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    blocks = []  # of 100 resamples: many runs of many classes would not fit into memory at once
    for block in np.split(weights, range(100, resamples, 100)):
        values = measure.scores((block @ flat).astype(counts.dtype).reshape(len(block), *counts.shape[1:]))
        blocks.append(np.stack([values[name].mean(axis=1) for name in measure.names]))
    return np.concatenate(blocks, axis=1)

"""Numbers of seeds and of speakers that would show a difference between two systems, estimated from one that was measured.

The variance of a difference has a part of the models, which n seeds instead of r shrink by r / n, and a part of the speakers,
which no seed shrinks. More speakers at the same number of seeds shrink all that varies from speaker to speaker, the luck of
models that test one speaker alone too (leave one speaker out), but not the luck of models that test several. With t =
difference / standard error, its degrees of freedom by Satterthwaite (Biometrics 1946), the power is that of the two-sided t
test (Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988; for seeds: Colas et al., arXiv 1806.08295). The
measured difference is taken for the true one, and the answer is as rough as that difference. Where p is above `FAR` there is
no answer: the difference is mostly noise, and so would be any number made of it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ser.results.records.comparison import Power
from ser.results.statistics.permutation import Counts, observed_difference, variances

LEVEL, POWER, MOST, FAR = 0.05, 0.8, 1000, 0.2


def power(difference: float, models: float, speakers: float, df_models: float, df_speakers: float) -> float:
    """Power of the two-sided t test at `LEVEL`.

    Args:
        models, speakers: the two parts of the variance of the difference.
        df_models, df_speakers: their degrees of freedom.

    >>> round(power(0.5, 2 / 64, 0.0, 126, 1), 2)  # Cohen's table 2.3.5: d 0.5, two groups of 64
    0.8
    """
    from scipy import stats

    whole = models + speakers
    if whole <= 0:
        return 1.0 if difference else LEVEL
    df = whole**2 / (models**2 / df_models + speakers**2 / df_speakers)
    border = stats.t.isf(LEVEL / 2, df)
    shift = abs(difference) / np.sqrt(whole)
    found = stats.nct.sf(border, df, shift) + stats.nct.cdf(-border, df, shift)
    return float(stats.norm.sf(border - shift) if np.isnan(found) else found)  # SciPy gives NaN where the shift is huge


def estimate(
    a: Counts,
    b: Counts,
    who: NDArray[np.int64],
    where: NDArray[np.int64],
    metric: str,
    *,
    known: bool,
    random: int,
    p: float | None = None,
) -> Power:
    """Estimate the numbers of seeds and of speakers that would show the measured difference.

    Args:
        a, b: `(cells, runs, K, K)` confusion counts; a cell is a speaker in a fold.
        who, where: numbers of each cell's speaker and fold.
        known: true if speakers are known.
        random: number of the two systems that have seeds: 0, 1 or 2.
        p: of the difference, over other seeds and other speakers together; None where there is none.

    Returns:
        `seeds` and `speakers` are None if they are not a limit themselves, cannot be estimated (one run, nothing is random, p
        above `FAR`), or are above `MOST`; `why` gives the reason for the seeds.
    """
    runs, folds, speakers = a.shape[1], int(where.max()) + 1, int(who.max()) + 1
    difference = observed_difference(a, b, metric)
    v_m, v_s, v_c = variances(a, b, who, where, metric)
    between = max(0.0, v_s - v_c) if known else 0.0
    several = max(1, speakers - 1)

    def with_seeds(n: int) -> float:
        return power(difference, v_m * runs / n, between, max(1, random * folds * (n - 1)), several)

    def with_speakers(n: int) -> float:
        return power(difference, max(0.0, v_m - v_c), v_s * speakers / n, max(1, random * folds * (runs - 1)), n - 1)

    blind = runs < 2 and random > 0
    result = Power(level=LEVEL, wanted=POWER, now=None, seeds=None, speakers=None, why="")
    if difference == 0:
        result.why = "no difference was measured"
        return result
    if blind or (random == 0 and not known):
        result.why = "one run each: the spread over seeds is not known"
        return result
    result.now = with_seeds(runs)
    if p is not None and p > FAR:
        result.why = f"p is above {FAR}: the difference is mostly noise, and says nothing of how many would show it"
        return result
    if between > 0:
        result.speakers = _fewest(with_speakers)
    if random == 0:
        result.why = "nothing is random in either: more seeds are the same model again"
    elif power(difference, 0.0, between, 1, several) < POWER:
        result.why = f"no number of runs would be enough, because the {speakers} speakers differ too much"
    else:
        result.seeds = _fewest(with_seeds)
        result.why = "" if result.seeds else f"more than {MOST} seeds"
    return result


def _fewest(of: Callable[[int], float]) -> int | None:
    """The smallest n from 2 to `MOST` that gives the power wanted; power grows with n."""
    if of(MOST) < POWER:
        return None
    low, high = 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if of(middle) >= POWER else (middle, high)
    return high

"""Two experiments compared on the same test utterances: a paired difference, its interval, and permutation tests.

Under the null hypothesis the two systems can change places: which results are called A's is arbitrary. All ways of exchanging
them (or many, drawn at random) give the distribution of the difference (Good, "Permutation, Parametric, and Bootstrap Tests
of Hypotheses", 2005; Dror et al., ACL 2018). What is exchanged decides what is asked:

- models: would other seeds reverse the result? In each fold the trained models of both are exchanged between A and B; the
  test speakers stay as they are. Where nothing is random in one of them (a logistic regression, say), its runs are copies and
  cannot be exchanged: each model of the other changes places with it.
- speakers: would other speakers? A's and B's predictions of a speaker are swapped, of all runs together; the models stay.

The p of either test alone is too small where the other kind of chance matters, and so is the larger of the two where both do.
`p` is of both together (`permutation.joint_test`; `benchmarks/statistics.md` has the sizes of all of them).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import TrainingError
from ser.results.metrics.intervals import TAIL, describe, quantile_interval, unit_counts
from ser.results.metrics.measures import alike, measure_of, score_of, truth_columns
from ser.results.records.numbers import Comparison, Tested, Tests
from ser.results.statistics.permutation import BLOCK, PERMUTATIONS, Counts, joint_test, shuffle_test, swap_test


class OneOfSeveral(Protocol):
    """A comparison with a p-value that is adjusted for the number of all."""

    p: float | None
    p_holm: float | None


AnyComparison = TypeVar("AnyComparison", bound=OneOfSeveral)
RESAMPLES = 2000


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


def holm_of_known(p: Sequence[float | None]) -> list[float | None]:
    """`holm` of those that are known; None stays None.

    >>> holm_of_known([0.02, None, 0.01])
    [0.02, None, 0.02]
    """
    adjusted = iter(holm([value for value in p if value is not None]))
    return [None if value is None else next(adjusted) for value in p]


def adjusted(found: Sequence[AnyComparison]) -> list[AnyComparison]:
    """The comparisons with `p_holm`: p adjusted for their number."""
    for one, p in zip(found, holm_of_known([c.p for c in found]), strict=True):
        one.p_holm = p
    return list(found)


def drawn(
    systems: Sequence[Counts], of: Callable[[Any], Any], *, resamples: int = RESAMPLES, seed: int = 0
) -> list[NDArray[np.float64]]:
    """Scores of some systems when units (speakers, say) and runs are drawn again, both with replacement.

    Drawing both is the pigeonhole bootstrap (Owen, Annals of Applied Statistics 2007); it errs on the wide side. All systems
    get the same draws, so what they have in common cancels in their differences.

    Args:
        systems: `(units, runs, K, K)` each, of the same units.
        of: counts `(..., K, K)` -> scores `(..., *rest)`.

    Returns:
        `(resamples, *rest)` for each system, mean over the drawn runs; NaN where a score is not defined in a draw.
    """
    units, runs = systems[0].shape[:2]
    rng = np.random.default_rng(seed)
    who = rng.multinomial(units, np.full(units, 1 / units), size=resamples).astype(np.float64)
    which = rng.multinomial(runs, np.full(runs, 1 / runs), size=resamples) / runs
    found: list[NDArray[np.float64]] = []
    for system in systems:
        flat, values = system.reshape(units, -1).astype(np.float64), []
        for rows in np.array_split(np.arange(resamples), -(-resamples // BLOCK)):
            scores = np.asarray(of((who[rows] @ flat).astype(system.dtype).reshape(len(rows), *system.shape[1:])))
            values.append(np.einsum("nr...,nr->n...", scores, which[rows]))
        found.append(np.concatenate(values))
    return found


def percentiles(draws: NDArray[np.float64]) -> tuple[float, float] | None:
    """Percentile interval of draws `(n,)`, see `quantile_interval`."""
    return quantile_interval(draws, TAIL)


def difference_interval(
    a: Counts, b: Counts, metric: str = "UA", *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the difference when speakers and runs of `(speakers, runs, K, K)` are drawn again, see `drawn`."""
    draws = drawn([a, b], lambda counts: score_of(counts, metric), resamples=resamples, seed=seed)
    found = percentiles(draws[0] - draws[1])
    assert found is not None  # every draw has a speaker
    return found


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    classes: Sequence[str],
    metric: str | None = None,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Comparison:
    """Compare two experiments by their test predictions.

    Args:
        a, b: frames of predictions with the same runs, folds and test utterances.
        metric: of their measure; None: the one that stands for a result (UA of classes). The difference is that of the pooled
            metric, mean over runs.

    Returns:
        `difference` is A minus B. `ci_95` is None where neither speakers are known nor runs vary; `effect_size` is None where
        the differences do not vary; a test is None where there are fewer than two units of each system (runs that are copies
        of each other count once).

    Raises:
        TrainingError: they were not tested on the same.
    """
    frames = alike([tested_rows(frame) for frame in (a, b)])
    known_metrics = measure_of(frames[0]).names
    metric = metric or known_metrics[0]
    if metric not in known_metrics:
        raise ValueError(f"unknown metric {metric!r}; expected one of {', '.join(known_metrics)}")
    _refuse_others(*frames)
    by_fold = [unit_counts(frame, classes, frame["fold"]) for frame in frames]
    by_speaker = [unit_counts(frame, classes, frame["speaker"].astype(str)) for frame in frames]
    known = len(by_speaker[0]) > 1 and not (frames[0]["speaker"] == "").any()
    each = [is_copies(frame) for frame in frames]
    copies = all(each)
    models = [c[:, :1] for c in by_fold] if copies else by_fold
    tests = Tests(models=None, speakers=None)
    units = len(models[0]) * models[0].shape[1]
    if units > 1:
        # Copies cannot be shuffled with models that vary: each model changes places with the copy beside it.
        test = shuffle_test if each[0] == each[1] else swap_test
        pair = models if test is shuffle_test else [c.reshape(units, 1, *c.shape[2:]) for c in models]
        over = test(pair[0], pair[1], metric, permutations=permutations, seed=seed)
        tests.models = Tested(p=over, units=units)
    if known:
        over = swap_test(by_speaker[0], by_speaker[1], metric, permutations=permutations, seed=seed)
        tests.speakers = Tested(p=over, units=len(by_speaker[0]))
    p = max((t.p for t in (tests.models, tests.speakers) if t is not None), default=None)
    if units > 1 and known and not copies and models[0].shape[1] > 1:
        (one, other), speaker, fold = cell_counts(frames, classes)
        shuffled = each[0] == each[1]
        p = joint_test(one, other, speaker, fold, metric, shuffled=shuffled, permutations=permutations, seed=seed)
    over_speakers = difference_interval(by_speaker[0], by_speaker[1], metric, seed=seed) if known else None
    gaps = score_of(by_fold[0].sum(0), metric) - score_of(by_fold[1].sum(0), metric)
    return Comparison(
        metric=metric,
        difference=float(gaps.mean()),
        ci_95=over_speakers if known or copies else describe(gaps).ci_95,
        effect_size=_effect(_gaps(by_speaker, metric).mean(1) if known else _gaps(by_fold, metric).ravel()),
        tests=tests,
        p=p,
    )


def cell_counts(
    frames: Sequence[pd.DataFrame], classes: Sequence[str]
) -> tuple[list[Counts], NDArray[np.int64], NDArray[np.int64]]:
    """Counts `(cells, runs, K, K)` of frames of the same test rows, and the numbers of each cell's speaker and fold."""
    units = [frame["speaker"].astype(str) + "\t" + frame["fold"].astype(str) for frame in frames]
    cells = pd.Series(sorted(units[0].unique())).str.split("\t", n=1, expand=True)
    speaker, fold = (np.unique(cells[k].to_numpy(dtype=str), return_inverse=True)[1] for k in (0, 1))
    return [unit_counts(f, classes, u) for f, u in zip(frames, units, strict=True)], speaker, fold


def _gaps(pair: list[Counts], metric: str) -> NDArray[np.float64]:
    """Differences of each unit and run, `(units, runs)`."""
    return np.asarray(score_of(pair[0], metric) - score_of(pair[1], metric))


def _effect(gaps: NDArray[np.float64]) -> float | None:
    spread = float(gaps.std(ddof=1)) if len(gaps) > 1 else 0.0
    return float(gaps.mean()) / spread if spread > 1e-12 else None


def is_copies(frame: pd.DataFrame) -> bool:
    """True if all of several runs predict the same: nothing is random in them, and five are no more evidence than one."""
    predicted = ["predicted"] if "predicted" in frame else [c for c in frame if str(c).startswith("p_")]
    same = (frame.groupby(["fold", "utterance_id"])[predicted].nunique() == 1).to_numpy().all()
    return bool(same) and frame["run"].nunique() > 1


def tested_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The test predictions in the order of runs, folds and utterances."""
    rows = frame[frame["split"] == "test"].astype({"fold": str}).sort_values(["run", "fold", "utterance_id"])
    ordered: pd.DataFrame = rows.reset_index(drop=True)
    return ordered


def _refuse_others(a: pd.DataFrame, b: pd.DataFrame) -> None:
    for column in ("run", "fold", "utterance_id", *truth_columns(a), "speaker"):
        if len(a) != len(b) or (a[column].to_numpy() != b[column].to_numpy()).any():
            raise TrainingError(
                "the two experiments were not tested on the same",
                expected="the same runs, folds, utterances and labels",
                found=f"{len(a)} and {len(b)} test predictions" if len(a) != len(b) else f"another {column}",
            )

"""Answers that hold the truth with a stated frequency: split conformal prediction. Pure functions.

- Sets of classes. The score of an utterance is 1 - p of its true class (LAC: Sadinle, Lei & Wasserman, JASA 2019; Angelopoulos
  & Bates, arXiv 2107.07511, section 1). The set of a test utterance is all classes whose 1 - p is no larger than the limit.
- Of several labels each is a choice of two, with a set of answers of its own.
- Intervals of dimensions. The score is |rated - predicted| (Lei et al., JASA 2018, section 2.2); the interval of a test
  utterance is its predicted value, give or take the limit.

Of n validation utterances the limit is the ceil((n + 1) c)-th smallest score. Where there are fewer than that, it is
infinite: every class is in the set, and the interval has no ends (`unlimited` says in words that it is so).

Where validation and test utterances are exchangeable, the truth is held with probability c or more. Speakers who are
in no validation part are not: so the coverage on test utterances is measured, with an interval over speakers.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.results.metrics import evaluation
from ser.results.metrics.intervals import describe, describe_as, drawn_again, quantile_interval
from ser.results.metrics.measures import columns
from ser.results.records.evaluated_output import ConformalInterval, ConformalSets, DescribedShare

Floats = NDArray[np.float64]
RESAMPLES = 2000


def limit_of(scores: Floats, coverage: float) -> float:
    """The ceil((n + 1) c)-th smallest of n scores; infinite where there are fewer.

    >>> limit_of(np.array([0.4, 0.1, 0.3, 0.2]), 0.5), limit_of(np.array([0.1, 0.2]), 0.9)
    (0.3, inf)
    """
    place = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return float(np.sort(scores)[place - 1]) if place <= len(scores) else math.inf


def conformal_sets(
    test: pd.DataFrame, validation: pd.DataFrame, classes: Sequence[str], together: bool, coverage: float
) -> ConformalSets:
    """Measure the sets of test utterances, each under the limit of the validation part of its run and fold.

    Args:
        test, validation: predictions; validation of the same runs and folds.
        together: see `ser.results.metrics.evaluation.units`.
        coverage: c above, between 0 and 1.

    Raises:
        TrainingError: a run and fold has no validation predictions.
    """
    limit = _limits(test, {key: _scores(rows, classes) for key, rows in evaluation.by_head(validation)}, coverage)
    sets = 1 - columns(test, "p_", classes) <= limit[:, None]
    label, size = evaluation.truth(test, classes), sets.sum(1)
    held = sets[np.arange(len(sets)), label]
    unit = evaluation.units(test, together)["run"].to_numpy()
    return ConformalSets(
        asked=coverage,
        coverage=describe_as(DescribedShare, _means(held, unit)),
        size=describe(_means(size, unit)),
        single=describe_as(DescribedShare, _means(size == 1, unit)),
        empty=describe_as(DescribedShare, _means(size == 0, unit)),
        ci_95_speakers=_over_speakers(held, test["speaker"].astype(str).to_numpy()),
        by_class={name: float(held[label == k].mean()) for k, name in enumerate(classes) if (label == k).any()},
    )


def _means(values: NDArray[Any], unit: NDArray[Any]) -> list[float]:
    """The mean of each unit, in order."""
    return [float(values[unit == u].mean()) for u in np.unique(unit)]


def conformal_answers(
    test: pd.DataFrame, validation: pd.DataFrame, name: str, together: bool, coverage: float
) -> ConformalSets:
    """Measure the sets of answers, of `no` and `yes`, to one of several labels: `conformal_sets` of two classes.

    The promise is of each label by itself, not of all labels of an utterance together.

    Args:
        name: of the label, whose truth is `y_<name>` and whose probability is `p_<name>`.
    """

    def of_two(rows: pd.DataFrame) -> pd.DataFrame:
        p = rows[f"p_{name}"].to_numpy(dtype=np.float64)
        has = rows[f"y_{name}"].to_numpy(dtype=np.float64) > 0.5
        found: pd.DataFrame = rows[["run", "fold", "speaker"]].assign(true=np.where(has, "yes", "no"), p_yes=p, p_no=1 - p)
        return found

    return conformal_sets(of_two(test), of_two(validation), ("no", "yes"), together, coverage)


def conformal_intervals(
    test: pd.DataFrame, validation: pd.DataFrame, name: str, together: bool, coverage: float
) -> ConformalInterval:
    """Measure the intervals of one dimension, each under the limit of the validation part of its run and fold.

    Args:
        test, validation, together, coverage: as of `conformal_sets`.
        name: of the dimension, whose rated value is `t_<name>` and whose predicted one is `p_<name>`.

    Raises:
        TrainingError: a run and fold has no validation predictions.
    """

    def errors(rows: pd.DataFrame) -> Floats:
        rated, predicted = (rows[f"{beginning}{name}"].to_numpy(dtype=np.float64) for beginning in ("t_", "p_"))
        return np.asarray(np.abs(rated - predicted))

    limit = _limits(test, {key: errors(rows) for key, rows in evaluation.by_head(validation)}, coverage)
    held = errors(test) <= limit
    unit = evaluation.units(test, together)["run"].to_numpy()
    return ConformalInterval(
        asked=coverage,
        coverage=describe_as(DescribedShare, _means(held, unit)),
        margin=describe(_means(limit, unit)) if np.isfinite(limit).all() else None,
        ci_95_speakers=_over_speakers(held, test["speaker"].astype(str).to_numpy()),
    )


def unlimited(validation: pd.DataFrame, coverage: float) -> str | None:
    """A sentence on the runs and folds with too few validation utterances for a limit; None where all have enough.

    >>> unlimited(pd.DataFrame({"run": 0, "fold": "0"}, index=range(8)), 0.9)
    '1 of 1 heads have fewer than the 9 validation utterances that 0.9 needs: their sets and intervals hold everything'
    """
    sizes = [len(rows) for _, rows in evaluation.by_head(validation)]
    needed = math.ceil(coverage / (1 - coverage) - 1e-9)
    few = sum(size < needed for size in sizes)
    if not few:
        return None
    return (
        f"{few} of {len(sizes)} heads have fewer than the {needed} validation utterances that {coverage:g} needs: "
        "their sets and intervals hold everything"
    )


def _limits(test: pd.DataFrame, scores: Mapping[tuple[int, str], Floats], coverage: float) -> Floats:
    """The limit of each test utterance, by the validation scores of its run and fold, `(n,)`."""
    limits = {key: limit_of(own, coverage) for key, own in scores.items()}
    return evaluation.of_heads(test, limits, "calibrate sets on")


def _scores(rows: pd.DataFrame, classes: Sequence[str]) -> Floats:
    own = columns(rows, "p_", classes)[np.arange(len(rows)), evaluation.truth(rows, classes)]
    return np.asarray(1 - own)


def _over_speakers(held: NDArray[np.bool_], speaker: NDArray[Any]) -> tuple[float, float] | None:
    """The percentile interval of the coverage when speakers are drawn again with replacement."""
    names, place = np.unique(speaker, return_inverse=True)
    if len(names) < 2 or "" in names:
        return None
    sums = np.stack([np.bincount(place, held), np.bincount(place)], axis=-1).astype(np.float64)
    drawn = drawn_again(len(names), RESAMPLES) @ sums
    return quantile_interval(drawn[:, 0] / drawn[:, 1])

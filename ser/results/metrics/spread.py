"""Classes, speakers, genders and reliability run by run: the intervals that the means of a summary do not have.

Pure: predictions in, values described over runs out. The means are those of the summary's `per_class` and `groups`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.results.metrics.calibration import chance_ece, ece, reliability
from ser.results.metrics.classification import class_numbers, class_scores
from ser.results.metrics.intervals import describe, unit_counts
from ser.results.metrics.measures import columns, measure_of, outputs_of
from ser.results.metrics.predictions import group_counts
from ser.results.records.numbers import Described

SCORES = ("precision", "recall", "F1")


class GroupOverRuns(NamedTuple):
    """Scores of a gender or a speaker over runs by metric, None where they are in no run; `n`: its utterances per run."""

    scores: dict[str, Described | None]
    n: int


@dataclass(frozen=True)
class ReliabilityOverRuns:
    """Reliability of probabilities.

    Attributes:
        confidence, accuracy, n: of each bin, over the test predictions of all runs.
        ECE: expected calibration error over runs.
        ECE_by_chance: that of a perfectly calibrated head with these confidences.
        gap: confidence minus accuracy.
    """

    confidence: list[float]
    accuracy: list[float]
    n: list[float]
    ECE: Described
    ECE_by_chance: Described
    gap: Described


def over_classes(test: pd.DataFrame, classes: Sequence[str]) -> dict[str, dict[str, Described | None]]:
    """Precision, recall and F1 of each class over runs, all folds of a run together; None for a score that no run defines."""
    sums = unit_counts(test, classes, pd.Series("all", index=test.index))[0]
    values = class_scores(sums[..., : len(classes), : len(classes)])  # of votes, what is beside the counts is left out
    return {name: {score: _described(values[score][:, k]) for score in SCORES} for k, name in enumerate(classes)}


def over_groups(test: pd.DataFrame, classes: Sequence[str], column: str) -> dict[str, GroupOverRuns]:
    """UA and WA, or the scores of another target, of each group over runs, all folds of a run together.

    `n` is the number of its utterances in a run.

    Args:
        column: `speaker` or `gender`; rows where it is empty are left out.

    Returns:
        by group; {} where there are no groups.
    """
    names, counts = group_counts(test, classes, column)
    if not names:
        return {}
    measure = measure_of(test)
    values = {metric: measure.score(counts, metric) for metric in measure.groups}
    n = measure.number(counts).mean(axis=1)
    return {
        name: GroupOverRuns({m: _described(v[i]) for m, v in values.items()}, round(float(n[i])))
        for i, name in enumerate(names)
    }


def reliability_over_runs(test: pd.DataFrame) -> ReliabilityOverRuns:
    """The reliability curve of all test predictions together, and calibration errors of each run."""
    classes = outputs_of(test)
    shares = columns(test, "p_", classes)
    labels = class_numbers(test["true"].to_numpy(), classes)
    run = test["run"].to_numpy()
    own = [run == k for k in np.unique(run)]
    gaps = shares.max(axis=1) - (shares.argmax(axis=1) == labels)
    return ReliabilityOverRuns(
        **{name: values.tolist() for name, values in reliability(shares, labels).items()},
        ECE=describe([ece(shares[rows], labels[rows]) for rows in own]),
        ECE_by_chance=describe([chance_ece(shares[rows]) for rows in own]),
        gap=describe([float(gaps[rows].mean()) for rows in own]),
    )


def _described(values: NDArray[np.float64]) -> Described | None:
    defined = values[~np.isnan(values)]
    return describe(defined) if len(defined) else None

"""The numbers of an evaluation of dimensions, or of several labels: one output after another. Pure functions.

Beside the scores of an output stands how far its predictions can be taken at their word. Of a dimension t is the rated and p
the predicted value; of a label t is 1 or 0 and p its probability.

- bias: mean of p - t.
- slope: of the line of t on p by least squares. With 1 a difference between predictions is as large as that between ratings;
  below 1 the predictions exaggerate, above 1 they are drawn together (Cox, Biometrika 1958, for probabilities).
- gap: mean |mean p - mean t| over bins of equally many utterances in the order of p; of a label the calibration error of its
  probability.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.results.metrics.calibration import binned, binned_gap
from ser.results.metrics.conformal import conformal_answers, conformal_intervals
from ser.results.metrics.evaluation import units
from ser.results.metrics.gaps import FEW, PERMUTATIONS, speaker_gap
from ser.results.metrics.intervals import RESAMPLES, describe, quantile_interval, scores_drawn_again, unit_counts
from ser.results.metrics.measures import measure_of
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.evaluated_output import EvaluatedOutput, OutputCurve
from ser.results.records.gaps import MeasuredDifference, MeasuredGap, MeasuredGender, MeasuredGenders, MeasuredLevel, SpeakerGap
from ser.results.records.numbers import Interval, Metrics

Floats = NDArray[np.float64]
BINS = 10


def output_numbers(
    test: pd.DataFrame, validation: pd.DataFrame, outputs: Sequence[str], together: bool, coverage: float | None
) -> dict[str, EvaluatedOutput]:
    """The numbers of each output.

    Args:
        test, validation: predictions with the columns of `Dimensions` or `Labels` (`ser.results.metrics.measures`).
        together: see `ser.results.metrics.evaluation.units`.
        coverage: of the intervals of dimensions, or the answers to labels; None makes none.
    """
    measure = measure_of(test)
    columns = [c for c in test.columns if not str(c).startswith(("p_", measure.truth))]
    found = {}
    for name in outputs:
        own = [*columns, f"{measure.truth}{name}", f"p_{name}"]
        rows = test[own]
        unit = units(rows, together)
        scores = metrics_from_predictions(unit, [name]).pooled
        found[name] = _agreement(unit, f"{measure.truth}{name}", f"p_{name}", scores)
        if coverage is not None and measure.kind == "labels":
            found[name].answers = conformal_answers(rows, validation[own], name, together, coverage)
        elif coverage is not None:
            found[name].interval = conformal_intervals(rows, validation[own], name, together, coverage)
    return found


def _agreement(unit: pd.DataFrame, truth: str, answer: str, scores: Metrics) -> EvaluatedOutput:
    """Bias, slope, gap and curve over units, beside the scores."""
    each = [
        (rows[truth].to_numpy(dtype=np.float64), rows[answer].to_numpy(dtype=np.float64)) for _, rows in unit.groupby("run")
    ]
    slopes = [s for s in (_slope(t, p) for t, p in each) if s is not None]
    bins = min(BINS, *(len(p) for _, p in each))
    curves = [binned(p, t, bins) for t, p in each]
    gaps = [binned_gap(*curve) for curve in curves]
    predicted, rated, n = np.mean(curves, axis=0).tolist()
    return EvaluatedOutput(
        scores=scores,
        bias=describe([float((p - t).mean()) for t, p in each]),
        slope=describe(slopes) if slopes else None,
        gap=describe(gaps),
        curve=OutputCurve(predicted=predicted, rated=rated, n=n),
    )


def _slope(t: Floats, p: Floats) -> float | None:
    """The slope of t on p; None where p does not vary."""
    spread = p - p.mean()
    below = float((spread * spread).sum())
    return float((spread * (t - t.mean())).sum()) / below if below > 0 else None


def output_gaps(test: pd.DataFrame, outputs: Sequence[str], by: str = "gender") -> MeasuredGenders | None:
    """Scores of each group and their differences, speakers drawn again within each; None as `gaps.group_gaps`.

    Args:
        test: predictions of numbered units, each in the column `run`.
        by: the column of the groups, "" where one is not known.

    Returns:
        Intervals are None with fewer than two speakers of a group.
    """
    measure = measure_of(test)
    names = sorted(set(test[by]) - {""})
    if len(names) < 2 or (test.loc[test[by] != "", "speaker"] == "").any():
        return None
    groups, drawn, means = {}, {}, {}
    for seed, name in enumerate(names):
        own = test[test[by] == name]
        counts = unit_counts(own, outputs, own["speaker"])
        sums = counts.sum(0)
        means[name] = np.array([measure.score(sums, metric).mean() for metric in measure.names])
        several = len(counts) > 1
        drawn[name] = scores_drawn_again(counts, measure, seed=seed) if several else np.full((1, 1), np.nan)
        levels = zip(measure.names, means[name], _intervals(drawn[name], len(measure.names)), strict=True)
        scores = {metric: MeasuredLevel(mean=float(mean), ci_95=ends) for metric, mean, ends in levels}
        groups[name] = MeasuredGender(scores=scores, n=int(own["utterance_id"].nunique()), speakers=len(counts))
    gaps = []
    for a, b in combinations(names, 2):
        levels = zip(measure.names, means[a] - means[b], _intervals(drawn[a] - drawn[b], len(measure.names)), strict=True)
        differences = {metric: MeasuredDifference(difference=float(d), ci_95=ends) for metric, d, ends in levels}
        gaps.append(MeasuredGap(between=(a, b), scores=differences))
    return MeasuredGenders(groups=groups, gaps=gaps)


def output_speaker_gap(test: pd.DataFrame, outputs: Sequence[str]) -> SpeakerGap | None:
    """The gap between the best and the worst speaker, as `gaps.speaker_gaps`; without classes, utterances of all ratings are
    drawn again, and given to the speakers at random.

    Args:
        test: predictions of numbered units, each in the column `run`, all of the same utterances.

    Returns:
        The gap in the metric that stands for a result; None with fewer than two speakers of `FEW` utterances or more.
    """
    measure = measure_of(test)
    one = test[test["speaker"] != ""].groupby("utterance_id", sort=True)["speaker"].first().astype(str)
    names, number = np.unique(one.to_numpy(dtype=str), return_counts=True)
    enough = names[number >= FEW]
    if len(enough) < 2:
        return None
    one = one[one.isin(enough)].sort_values(kind="stable")
    rows = test[test["utterance_id"].isin(one.index)]
    sums = unit_counts(rows, outputs, rows["utterance_id"])  # of utterances in sorted order
    sums = sums[np.searchsorted(np.sort(one.index.to_numpy(dtype=str)), one.index.to_numpy(dtype=str))]
    begins = np.searchsorted(one.to_numpy(dtype=str), enough)

    def scores(summed: Floats) -> Floats:
        """The mean over units, `(..., units, a, b)` -> `(...)`."""
        return np.asarray(measure.score(summed, measure.names[0]).mean(-1))

    whole = scores(np.add.reduceat(sums, begins))
    low, high = int(whole.argmin()), int(whole.argmax())
    rng = np.random.default_rng(0)
    drawn = []
    for k in (high, low):
        own = np.split(sums, begins[1:])[k]
        weights = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=RESAMPLES).astype(np.float64)
        drawn.append(scores((weights @ own.reshape(len(own), -1)).reshape(RESAMPLES, *own.shape[1:])))
    chance = np.array([np.ptp(scores(np.add.reduceat(sums[rng.permutation(len(sums))], begins))) for _ in range(PERMUTATIONS)])
    return speaker_gap(enough, whole, _intervals((drawn[0] - drawn[1])[None], 1)[0], chance)


def _intervals(drawn: Floats, count: int) -> list[Interval]:
    """The interval of each of `count` metrics over draws `(count, resamples)`, None where one is not defined."""
    if len(drawn) != count:  # a single speaker: nothing was drawn
        return [None] * count
    return [None if np.isnan(own).any() else quantile_interval(own) for own in drawn]

"""Differences of two systems by class, gender and speaker, with intervals that are not adjusted for their number."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.results.metrics.classification import class_scores
from ser.results.metrics.intervals import known_mean, unit_counts
from ser.results.metrics.measures import score_of
from ser.results.records.comparison import ByGender, ClassRows, GenderGap, Row, SystemGap
from ser.results.statistics.paired import drawn, percentiles
from ser.results.statistics.permutation import Counts

SCORES = ("recall", "precision", "F1")
DRAWS = 1000  # of a speaker's utterances


def by_class(pair: Sequence[Counts], classes: Sequence[str], units: bool) -> dict[str, ClassRows]:
    """Compare recall, precision and F1 of each class of A and B, pooled, mean over runs.

    Args:
        pair: `(speakers, runs, K, K)` counts of A and of B.
        units: true if there are speakers to draw again; without them there is no interval.
    """
    whole = [class_scores(c.sum(0)) for c in pair]
    draws = {s: drawn(pair, lambda c, s=s: class_scores(c)[s]) for s in SCORES} if units else {}  # type: ignore[misc]

    def row(score: str, k: int) -> Row:
        a, b = (known_mean(scores[score][:, k]) for scores in whole)
        return _row(a, b, percentiles(draws[score][0][:, k] - draws[score][1][:, k]) if units else None)

    return {name: ClassRows(**{score: row(score, k) for score in SCORES}) for k, name in enumerate(classes)}


def by_gender(frames: Sequence[pd.DataFrame], classes: Sequence[str], metric: str) -> ByGender:
    """Compare the metric of each gender of A and B; where there are two, the gap of each system and the difference of the gaps.

    Speakers are drawn again within their gender. The gap is None without two genders.
    """
    names = sorted(set(frames[0]["gender"]) - {""})
    groups: dict[str, Row] = {}
    draws: dict[str, list[NDArray[np.float64]]] = {}
    for number, name in enumerate(names):
        own = [frame[frame["gender"] == name] for frame in frames]
        pair = [unit_counts(frame, classes, frame["speaker"].astype(str)) for frame in own]
        a, b = (known_mean(score_of(c.sum(0), metric)) for c in pair)
        draws[name] = drawn(pair, lambda c: score_of(c, metric), seed=number) if _known(own[0]) else []
        interval = percentiles(draws[name][0] - draws[name][1]) if draws[name] else None
        groups[name] = _row(a, b, interval)
        groups[name].speakers = len(pair[0])
    return ByGender(groups=groups, gap=_gap(names, groups, draws) if len(names) == 2 else None)


def _gap(names: list[str], groups: dict[str, Row], draws: dict[str, list[NDArray[np.float64]]]) -> GenderGap | None:
    one, other = (groups[name] for name in names)
    if one.a is None or other.a is None or one.b is None or other.b is None:
        return None
    gaps = [draws[names[0]][k] - draws[names[1]][k] for k in range(2)] if all(map(draws.get, names)) else []
    a, b = one.a - other.a, one.b - other.b
    return GenderGap(
        of=f"{names[0]} minus {names[1]}",
        a=SystemGap(gap=a, ci_95=percentiles(gaps[0]) if gaps else None),
        b=SystemGap(gap=b, ci_95=percentiles(gaps[1]) if gaps else None),
        difference=a - b,
        ci_95=percentiles(gaps[0] - gaps[1]) if gaps else None,
    )


def by_speaker(frames: Sequence[pd.DataFrame], classes: Sequence[str], metric: str) -> dict[str, Row]:
    """Compare the metric of each speaker of A and B, mean over runs; the speaker's utterances and the runs are drawn again.

    Returns:
        By speaker; {} where speakers are not known.
    """
    if not _known(frames[0]):
        return {}
    found: dict[str, Row] = {}
    for number, (name, rows) in enumerate(frames[0].groupby("speaker", sort=True)):
        own = [rows, frames[1][frames[1]["speaker"] == name]]
        pair = [unit_counts(frame, classes, frame["utterance_id"].astype(str)) for frame in own]
        a, b = (known_mean(score_of(c.sum(0), metric)) for c in pair)
        draws = drawn(pair, lambda c: score_of(c, metric), resamples=DRAWS, seed=number)
        interval = percentiles(draws[0] - draws[1]) if len(pair[0]) > 1 else None
        found[str(name)] = _row(a, b, interval)
        found[str(name)].n = len(pair[0])
    return found


def _known(frame: pd.DataFrame) -> bool:
    return frame["speaker"].nunique() > 1 and not (frame["speaker"] == "").any()


def _row(a: float | None, b: float | None, interval: tuple[float, float] | None) -> Row:
    if a is None or b is None:
        return Row(a=a, b=b, difference=None, ci_95=None)
    return Row(a=a, b=b, difference=a - b, ci_95=interval)

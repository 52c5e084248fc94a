"""Where two systems differ: by class, by gender, by speaker. All with intervals, none adjusted for how many there are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.results.metrics.classification import class_scores, scores_from_counts
from ser.results.statistics.paired import drawn, percentiles, unit_counts
from ser.results.statistics.permutation import Counts

SCORES = ("recall", "precision", "F1")
DRAWS = 1000  # of a speaker's utterances


def by_class(pair: Sequence[Counts], classes: Sequence[str], units: bool) -> dict[str, Any]:
    """Recall, precision and F1 of each class by A and B, pooled, mean over runs.

    Args:
        pair: `(speakers, runs, K, K)` counts of A and of B.
        units: whether there are speakers to draw again; without them there is no interval.

    Returns:
        class -> score -> `a`, `b`, `difference`, `ci_95`; None where not defined.
    """
    whole = [class_scores(c.sum(0)) for c in pair]
    draws = {s: drawn(pair, lambda c, s=s: class_scores(c)[s]) for s in SCORES} if units else {}  # type: ignore[misc]
    found: dict[str, Any] = {}
    for k, name in enumerate(classes):
        found[name] = {}
        for score in SCORES:
            a, b = (_mean(scores[score][:, k]) for scores in whole)
            interval = percentiles(draws[score][0][:, k] - draws[score][1][:, k]) if units else None
            found[name][score] = _row(a, b, interval)
    return found


def by_gender(frames: Sequence[pd.DataFrame], classes: Sequence[str], metric: str) -> dict[str, Any]:
    """The metric of each gender by A and B; where there are two, the gap of each system and the difference of the gaps.

    Speakers are drawn again within their gender.

    Returns:
        `groups`: gender -> `a`, `b`, `difference`, `ci_95`, `speakers`; `gap`: `of` (first minus second), `a` and `b` (each
        with its own interval), `difference`, `ci_95`; None without two genders.
    """
    names = sorted(set(frames[0]["gender"]) - {""})
    groups: dict[str, Any] = {}
    draws: dict[str, list[NDArray[np.float64]]] = {}
    for number, name in enumerate(names):
        own = [frame[frame["gender"] == name] for frame in frames]
        pair = [unit_counts(frame, classes, frame["speaker"].astype(str)) for frame in own]
        a, b = (_mean(scores_from_counts(c.sum(0))[metric]) for c in pair)
        draws[name] = drawn(pair, lambda c: scores_from_counts(c)[metric], seed=number) if _known(own[0]) else []
        interval = percentiles(draws[name][0] - draws[name][1]) if draws[name] else None
        groups[name] = {**_row(a, b, interval), "speakers": len(pair[0])}
    return {"groups": groups, "gap": _gap(names, groups, draws) if len(names) == 2 else None}


def _gap(names: list[str], groups: dict[str, Any], draws: dict[str, list[NDArray[np.float64]]]) -> dict[str, Any]:
    one, other = names
    some = bool(draws[one] and draws[other])
    gaps = [draws[one][k] - draws[other][k] for k in range(2)] if some else []
    values = [groups[one][k] - groups[other][k] for k in ("a", "b")]
    each = [{"gap": v, "ci_95": percentiles(gaps[k]) if some else None} for k, v in enumerate(values)]
    return {
        "of": f"{one} minus {other}",
        "a": each[0],
        "b": each[1],
        "difference": values[0] - values[1],
        "ci_95": percentiles(gaps[0] - gaps[1]) if some else None,
    }


def by_speaker(frames: Sequence[pd.DataFrame], classes: Sequence[str], metric: str) -> dict[str, Any]:
    """The metric of each speaker by A and B, mean over runs; the speaker's utterances and the runs are drawn again.

    Returns:
        speaker -> `a`, `b`, `difference`, `ci_95`, `n`: utterances; {} where speakers are not known.
    """
    if not _known(frames[0]):
        return {}
    found: dict[str, Any] = {}
    for number, (name, rows) in enumerate(frames[0].groupby("speaker", sort=True)):
        own = [rows, frames[1][frames[1]["speaker"] == name]]
        pair = [unit_counts(frame, classes, frame["utterance_id"].astype(str)) for frame in own]
        a, b = (_mean(scores_from_counts(c.sum(0))[metric]) for c in pair)
        draws = drawn(pair, lambda c: scores_from_counts(c)[metric], resamples=DRAWS, seed=number)
        interval = percentiles(draws[0] - draws[1]) if len(pair[0]) > 1 else None
        found[str(name)] = {**_row(a, b, interval), "n": len(pair[0])}
    return found


def _known(frame: pd.DataFrame) -> bool:
    return frame["speaker"].nunique() > 1 and not (frame["speaker"] == "").any()


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _row(a: float | None, b: float | None, interval: list[float] | None) -> dict[str, Any]:
    some = a is not None and b is not None
    return {"a": a, "b": b, "difference": a - b if some else None, "ci_95": interval if some else None}  # type: ignore[operator]

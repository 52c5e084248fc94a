"""Gaps between groups (genders, languages, corpora) and between speakers, with intervals, and the gap that chance makes.

UA of a group is the mean over classes of the mean r of its utterances of the class, where r of an utterance is the share of
runs (or heads) that are right. It is linear in r, so all is computed from sums.

- Between genders: speakers are drawn again with replacement within each gender (cluster bootstrap: Davison & Hinkley 1997,
  ch. 3.8); the interval is of the difference.
- Of a speaker: the speaker's utterances are drawn again, within each class (stratified bootstrap: Davison & Hinkley 1997, ch.
  3.2), so that no class drops out of the mean and the draws scatter around the speaker's UA. It says how
  precisely this speaker is measured, and nothing of other speakers.
- Between the highest and the lowest speaker: the difference of two that were picked for being extreme, so it is large even
  where all speakers are alike. `chance` is the same gap when the utterances of each class are given to the speakers at random
  (999 times), `p` the share of these gaps that are as large.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.results.metrics.classification import class_numbers, ua, wa
from ser.results.metrics.intervals import quantile_interval
from ser.results.records.gaps import (
    ChanceGap,
    Difference,
    EvaluatedGender,
    EvaluatedSpeaker,
    GenderDifference,
    Genders,
    Level,
    SpeakerGap,
    Speakers,
)
from ser.results.records.numbers import Interval

Floats = NDArray[np.float64]
RESAMPLES = 1000
PERMUTATIONS = 999
AT_ONCE = 1 << 20  # utterances of all permutations that are computed together
FEW = 10  # utterances; a speaker with fewer is left out of the gap


@dataclass(frozen=True, eq=False)
class Rights:
    """Correctness of predictions, one row per utterance.

    Attributes:
        right: share of runs that are right, `(n,)`.
        label: class number, `(n,)`.
        speaker, gender: "" where not known, `(n,)`.
    """

    right: Floats
    label: NDArray[np.int64]
    speaker: NDArray[Any]
    gender: NDArray[Any]


def rights_of(test: pd.DataFrame, classes: Sequence[str]) -> Rights:
    """Make them from test predictions of any number of runs and folds."""
    right = (test["true"] == test["predicted"]).astype(float)
    rows = test.assign(right=right).groupby("utterance_id", sort=True)
    found = rows.agg({"right": "mean", "true": "first", "speaker": "first", "gender": "first"})
    label = class_numbers(found["true"].to_numpy(), classes)
    speaker, gender = (found[c].astype(str).to_numpy(dtype=object) for c in ("speaker", "gender"))
    return Rights(found["right"].to_numpy(dtype=np.float64), label, speaker, gender)


def _sums(r: Rights, unit: NDArray[np.int64], units: int) -> tuple[Floats, Floats]:
    """The sum of `right` and the number of utterances, of each unit and class: `(units, K)` each."""
    k = int(r.label.max()) + 1
    cell = unit * k + r.label
    right = np.bincount(cell, r.right, units * k).astype(np.float64)
    number = np.bincount(cell, minlength=units * k).astype(np.float64)
    return right.reshape(units, k), number.reshape(units, k)


def _scores(right: Floats, number: Floats) -> dict[str, Floats]:
    """`(..., K)` sums -> UA and WA, `(...)`; NaN where there are no utterances."""
    return {"UA": ua(right, number), "WA": wa(right, number)}


def group_gaps(r: Rights, group: NDArray[Any] | None = None, *, resamples: int = RESAMPLES) -> Genders | None:
    """Scores of each group and their differences; None where fewer than two groups or not all speakers are known.

    Args:
        group: of each utterance, "" where not known, `(n,)`; None: its gender.

    Returns:
        Intervals are None with fewer than two speakers of a group.
    """
    group = r.gender if group is None else group
    known = group != ""
    names = sorted(set(group[known]))
    if len(names) < 2 or (r.speaker[known] == "").any():
        return None
    rng = np.random.default_rng(0)
    groups: dict[str, EvaluatedGender] = {}
    draws = {}
    for name in names:
        own = np.flatnonzero(group == name)
        speakers, unit = np.unique(r.speaker[own].astype(str), return_inverse=True)
        count = len(speakers)
        sums = _sums(Rights(r.right[own], r.label[own], r.speaker[own], r.gender[own]), unit.astype(np.int64), count)
        weights = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
        drawn = _scores(weights @ sums[0], weights @ sums[1])
        draws[name] = drawn if count > 1 else {m: np.full(resamples, np.nan) for m in drawn}
        whole = _scores(sums[0].sum(0), sums[1].sum(0))
        levels = {m: Level(mean=float(v), ci_95=quantile_interval(draws[name][m])) for m, v in whole.items()}
        groups[name] = EvaluatedGender(**levels, n=len(own), speakers=count)

    def minus(a: str, b: str, metric: str) -> Difference:
        difference = groups[a][metric].mean - groups[b][metric].mean
        return Difference(difference=difference, ci_95=quantile_interval(draws[a][metric] - draws[b][metric]))

    pairs = combinations(names, 2)
    gaps = [GenderDifference(between=(a, b), UA=minus(a, b, "UA"), WA=minus(a, b, "WA")) for a, b in pairs]
    return Genders(groups=groups, gaps=gaps)


def speaker_gaps(r: Rights, *, resamples: int = RESAMPLES, permutations: int = PERMUTATIONS) -> Speakers | None:
    """Scores of each speaker with `FEW` utterances or more, and the gap in UA; None with fewer than two such.

    Returns:
        `left_out` are the speakers with fewer utterances; the interval of the gap is of its two speakers, as if they had been
        named before.
    """
    names, number = np.unique(r.speaker[r.speaker != ""].astype(str), return_counts=True)
    enough = names[number >= FEW]
    if len(enough) < 2:
        return None
    use = np.isin(r.speaker.astype(str), enough)
    r = Rights(r.right[use], r.label[use], r.speaker[use], r.gender[use])
    unit = np.searchsorted(enough, r.speaker.astype(str)).astype(np.int64)
    rng = np.random.default_rng(0)
    whole = _scores(*_sums(r, unit, len(enough)))
    draws = {m: np.empty((len(enough), resamples)) for m in whole}
    for s in range(len(enough)):
        for m, values in _resampled(r, np.flatnonzero(unit == s), resamples, rng).items():
            draws[m][s] = values
    low, high = int(whole["UA"].argmin()), int(whole["UA"].argmax())
    chance = _by_chance(r, unit, len(enough), permutations, rng)
    groups = {
        str(name): EvaluatedSpeaker(
            **{m: Level(mean=float(v[s]), ci_95=quantile_interval(draws[m][s])) for m, v in whole.items()},
            n=int((unit == s).sum()),
        )
        for s, name in enumerate(enough)
    }
    interval = quantile_interval(draws["UA"][high] - draws["UA"][low])
    between = speaker_gap(enough, whole["UA"], interval, chance)
    left_out = len(names) - len(enough)
    return Speakers(groups=groups, left_out=left_out, std=float(whole["UA"].std(ddof=1)), gap=between)


def speaker_gap(names: NDArray[Any], scores: Floats, ci_95: Interval, chance: Floats) -> SpeakerGap:
    """The gap between the speakers with the highest and the lowest score.

    Args:
        names, scores: of each speaker, `(speakers,)`.
        ci_95: of the gap.
        chance: the gaps when utterances are given to the speakers at random, `(permutations,)`.
    """
    low, high = int(scores.argmin()), int(scores.argmax())
    gap = float(scores[high] - scores[low])
    return SpeakerGap(
        lowest=str(names[low]),
        highest=str(names[high]),
        difference=gap,
        ci_95=ci_95,
        chance=ChanceGap(mean=float(chance.mean()), quantile_95=float(np.quantile(chance, 0.95))),
        p=float((1 + (chance >= gap - 1e-12).sum()) / (1 + len(chance))),
    )


def _resampled(r: Rights, rows: NDArray[np.int64], resamples: int, rng: np.random.Generator) -> dict[str, Floats]:
    """Scores of one speaker when the utterances of each class are drawn again, `(resamples,)` each."""
    k = int(r.label.max()) + 1
    right, number = np.zeros((resamples, k)), np.zeros((resamples, k))
    for label in np.unique(r.label[rows]):
        own = r.right[rows][r.label[rows] == label]
        weights = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=resamples).astype(np.float64)
        right[:, label], number[:, label] = weights @ own, len(own)
    return _scores(right, number)


def _by_chance(r: Rights, unit: NDArray[np.int64], units: int, permutations: int, rng: np.random.Generator) -> Floats:
    """Gaps between the highest and the lowest UA when the utterances of each class are given to the speakers at random."""
    places = [np.flatnonzero(r.label == k) for k in np.unique(r.label)]
    number, found = _sums(r, unit, units)[1], []
    cell = unit * number.shape[1] + r.label
    at_once = max(1, AT_ONCE // len(cell))
    for count in [at_once] * (permutations // at_once) + [permutations % at_once]:
        right = np.tile(r.right, (count, 1))
        for own in right:
            for rows in places:
                own[rows] = r.right[rng.permutation(rows)]
        cells = np.arange(count)[:, None] * number.size + cell
        drawn = np.bincount(cells.ravel(), right.ravel(), count * number.size).reshape(count, *number.shape)
        found.append(np.ptp(ua(drawn, number), axis=1))
    return np.concatenate(found)

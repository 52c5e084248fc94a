"""The setting that validation chooses, over all folds together and fold by fold; learned weights of layers over runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from msgspec import UNSET

from ser.results.metrics.intervals import describe
from ser.results.metrics.predictions import metrics_from_predictions
from ser.results.records.model import RunResult
from ser.results.records.study_numbers import LayerWeight, Nested

Key = tuple[str, int]  # a fold, and the number of a run


def best_setting(scores: list[float | None]) -> int:
    """The number of the setting with the highest validation score; the first of equals. None is one that failed.

    >>> best_setting([0.5, None, 0.7, 0.7])
    2
    """
    return max((k for k, s in enumerate(scores) if s is not None), key=lambda k: (scores[k], -k))


def halved_choices(
    left: Sequence[Mapping[Key, float] | None], ended: Sequence[Mapping[Key, float]], folds: Sequence[str], runs: int
) -> tuple[dict[str, int], int]:
    """Make the choices of a search by successive halving again: the number of the setting of each fold, and of all together.

    A run that left counts with its score at leaving. Where a setting with such runs is the best, they were trained to the end,
    and count with their score then. The choices of the folds come first, in order.

    Args:
        left: by setting, the scores at leaving of its runs that left, by fold and run; None for a setting that failed.
        ended: by setting, the final scores of its runs that were trained to the end, at once or later.

    Raises:
        KeyError: a run is in neither.
    """
    out = [None if own is None else dict(own) for own in left]

    def best(parts: Sequence[str]) -> int:
        keys = [(fold, run) for fold in parts for run in range(runs)]
        while True:
            scores = [
                None if own is None else float(np.mean([own[key] if key in own else ended[k][key] for key in keys]))
                for k, own in enumerate(out)
            ]
            found = best_setting(scores)
            own = out[found] or {}
            if not set(own) & set(keys):
                return found
            for key in keys:
                own.pop(key, None)

    each = {fold: best([fold]) for fold in folds} if len(folds) > 1 else {}
    return each, best(folds)


def nested(
    settings: Sequence[dict[str, Any]], done: Sequence[Sequence[tuple[RunResult, pd.DataFrame]]], classes: Sequence[str]
) -> Nested | None:
    """Choose each fold's setting on that fold's own validation part alone, and take its test predictions.

    Args:
        done: by setting its runs, records and predictions; none where it failed.

    Returns:
        None with a single fold.
    """
    folds = sorted({r.fold for runs in done for r, _ in runs})
    if len(folds) < 2:
        return None
    picked: dict[str, dict[str, Any]] = {}
    frames: list[pd.DataFrame] = []
    for fold in folds:
        of_fold = [[(r, p) for r, p in runs if r.fold == fold] for runs in done]
        scores = [[r.validation.main for r, _ in d if r.validation] for d in of_fold]
        best = best_setting([float(np.mean(own)) if d else None for own, d in zip(scores, of_fold, strict=True)])
        picked[fold] = settings[best]
        frames += [p for _, p in of_fold[best]]
    numbers = metrics_from_predictions(pd.concat(frames, ignore_index=True), classes)
    return Nested(settings=picked, test=numbers.test, pooled=numbers.pooled)


def weights_over_runs(records: Sequence[RunResult], layers: Sequence[int]) -> list[LayerWeight] | None:
    """The learned weight of each layer, the mean over a run's folds, described over runs.

    Args:
        records: of the runs of a head on all layers of one store.
        layers: their numbers.

    Returns:
        None where a record has no weights of so many layers: the head learns none, or the run was recorded without.
    """
    by_run: dict[int, list[list[float]]] = {}
    for one in records:
        weights = next(iter(one.layer_weights.values()), []) if one.layer_weights is not UNSET else []
        if len(weights) != len(layers):
            return None
        by_run.setdefault(one.run, []).append(weights)
    if not by_run:
        return None
    means = np.array([np.mean(by_run[run], axis=0) for run in sorted(by_run)])
    return [LayerWeight(layer=n, weight=describe(means[:, k])) for k, n in enumerate(layers)]

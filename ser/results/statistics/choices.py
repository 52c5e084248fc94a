"""Which setting validation chooses, over all folds together and fold by fold."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ser.results.metrics.predictions import metrics_from_predictions


def choose(scores: list[float | None]) -> int:
    """Number of the setting with the highest validation score; the first of equals. None is one that failed.

    >>> choose([0.5, None, 0.7, 0.7])
    2
    """
    return max((k for k, s in enumerate(scores) if s is not None), key=lambda k: (scores[k], -k))


def nested(
    settings: Sequence[dict[str, Any]],
    done: Sequence[Sequence[tuple[Mapping[str, Any], pd.DataFrame]]],
    classes: Sequence[str],
) -> dict[str, Any] | None:
    """Each fold's setting chosen on that fold's own validation part alone, its test part predicted with it.

    Args:
        done: by setting its runs, records and predictions; none where it failed.

    Returns:
        `settings` by fold, `test` and `pooled`; None with a single fold.
    """
    folds = sorted({str(r["fold"]) for runs in done for r, _ in runs})
    if len(folds) < 2:
        return None
    picked: dict[str, Any] = {}
    frames: list[pd.DataFrame] = []
    for fold in folds:
        of_fold = [[(r, p) for r, p in runs if str(r["fold"]) == fold] for runs in done]
        best = choose([float(np.mean([r["validation"]["UA"] for r, _ in d])) if d else None for d in of_fold])
        picked[fold] = settings[best]
        frames += [p for _, p in of_fold[best]]
    numbers = metrics_from_predictions(pd.concat(frames, ignore_index=True), classes)
    return {"settings": picked, "test": numbers["test"], "pooled": numbers["pooled"]}

"""Predictions -> the numbers of a summary: pure functions; every stored number is made here and can be made again.

A frame of predictions has one row a prediction, with the columns of `COLUMNS` and then `p_<class>`, a probability a class.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import TrainingError
from ser.results.metrics.classification import class_scores, encode, scores_from_counts
from ser.results.records.names import AMOUNTS, METRICS
from ser.results.statistics.intervals import cluster_intervals, describe, tally

TEXT_COLUMNS = ("utterance_id", "fold", "split", "true", "predicted", "speaker", "gender")
COLUMNS = ("utterance_id", "run", "fold", "split", "true", "predicted", "speaker", "gender")
SPLITS = ("validation", "test")

Counts = NDArray[np.int64]


def check_predictions(predictions: pd.DataFrame, classes: Sequence[str]) -> None:
    """Refuse a frame that is not one of predictions over these classes.

    Raises:
        TrainingError: a column is missing, a split or a class is unknown, a probability is not finite, or an utterance is
            predicted twice within a run, fold and split.
    """
    wanted = [*COLUMNS, *(f"p_{name}" for name in classes)]
    missing = [column for column in wanted if column not in predictions.columns]
    if missing:
        raise TrainingError(f"predictions have no column {missing[0]!r}", expected=f"columns {', '.join(wanted)}")
    if not len(predictions):
        raise TrainingError("there are no predictions", expected="one row an utterance")
    for column, allowed in (("split", SPLITS), ("true", tuple(classes)), ("predicted", tuple(classes))):
        strange = ~predictions[column].isin(allowed)
        if strange.any():
            row = predictions.iloc[int(strange.to_numpy().argmax())]
            raise TrainingError(
                f"prediction of {row['utterance_id']!r}: column {column}",
                expected=f"one of {', '.join(allowed)}",
                found=repr(row[column]),
            )
    probabilities = predictions[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64)
    bad = ~np.isfinite(probabilities).all(axis=1)
    if bad.any():
        name = predictions["utterance_id"].iloc[int(bad.argmax())]
        raise TrainingError(f"the probabilities of {name!r} are not finite", action="Did training diverge? Lower --lr.")
    keys = [k for k in (*AMOUNTS, "run", "fold", "split", "utterance_id") if k in predictions.columns]
    _refuse_twice(predictions, keys, "within one run, fold and split")


def _refuse_twice(frame: pd.DataFrame, keys: list[str], where: str) -> None:
    twice = frame.duplicated(keys)
    if twice.any():
        row = frame.iloc[int(twice.to_numpy().argmax())]
        raise TrainingError(
            f"utterance {row['utterance_id']!r} is predicted twice {where} (run {row['run']}, fold {row['fold']})",
            expected="every utterance once",
        )


def _tally_folds(frame: pd.DataFrame, classes: Sequence[str], split: str) -> Counts:
    """Confusion counts `(runs, folds, K, K)` of one split.

    Raises:
        TrainingError: a run lacks a fold that another run has.
    """
    runs, run = np.unique(frame["run"].to_numpy(dtype=np.int64), return_inverse=True)
    folds, fold = np.unique(frame["fold"].to_numpy(dtype=str), return_inverse=True)
    k = len(classes)
    truth, guess = encode(frame["true"].to_numpy(), classes), encode(frame["predicted"].to_numpy(), classes)
    counts = tally((len(runs), len(folds), k, k), run.astype(np.int64), fold.astype(np.int64), truth, guess)
    empty = counts.sum((-1, -2)) == 0
    if empty.any():
        r, f = np.argwhere(empty)[0]
        raise TrainingError(
            f"run {runs[r]} has no {split} predictions of fold {folds[f]}",
            expected="the same folds in every run",
            action="Run the same command again: it makes what is missing.",
        )
    return counts


def _tally_groups(frame: pd.DataFrame, classes: Sequence[str], column: str) -> tuple[list[str], Counts]:
    """Names of the groups in a column ("" left out) and their counts `(groups, runs, K, K)`."""
    frame = frame[frame[column] != ""]
    names, group = np.unique(frame[column].to_numpy(dtype=str), return_inverse=True)
    runs, run = np.unique(frame["run"].to_numpy(dtype=np.int64), return_inverse=True)
    truth, guess = encode(frame["true"].to_numpy(), classes), encode(frame["predicted"].to_numpy(), classes)
    k = len(classes)
    shape = (len(names), len(runs), k, k)
    return [str(n) for n in names], tally(shape, group.astype(np.int64), run.astype(np.int64), truth, guess)


def _over_runs(values: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    return {name: describe(values[name]) for name in METRICS}


def _by_class(pooled: Counts, classes: Sequence[str]) -> dict[str, dict[str, float | int | None]]:
    """Mean over runs of each class's scores; None where no run has one."""
    result: dict[str, dict[str, float | int | None]] = {name: {} for name in classes}
    for score, values in class_scores(pooled).items():
        for k, name in enumerate(classes):
            defined = values[:, k][~np.isnan(values[:, k])]
            result[name][score] = float(defined.mean()) if len(defined) else None
    for scores in result.values():
        support = scores["support"]
        scores["support"] = int(support) if support is not None and float(support).is_integer() else support
    return result


def _groups(test: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """UA and WA of each gender and speaker (pooled over folds, mean over runs), and the widest gap between two groups."""
    result: dict[str, Any] = {}
    for column in ("gender", "speaker"):
        names, counts = _tally_groups(test, classes, column)
        if not names:
            result |= {column: {}, f"{column}_gap": None}
            continue
        values = scores_from_counts(counts)
        ua, wa = np.nanmean(values["UA"], axis=1), np.nanmean(values["WA"], axis=1)
        n = counts.sum((-1, -2)).mean(axis=1)
        result[column] = {
            name: {"UA": float(ua[i]), "WA": float(wa[i]), "n": round(float(n[i]))} for i, name in enumerate(names)
        }
        some = len(names) > 1
        result[f"{column}_gap"] = {"UA": float(np.ptp(ua)), "WA": float(np.ptp(wa))} if some else None
    return result


def _by_fold(test: pd.DataFrame, counts: Counts) -> dict[str, Any]:
    """Test metrics of each fold, `counts (runs, folds, K, K)`, described over runs; folds that are numbers in their order."""
    names = np.unique(test["fold"].to_numpy(dtype=str)).tolist()
    order = sorted(range(len(names)), key=lambda k: (len(names[k]) if names[k].isdecimal() else 99, names[k]))
    return {names[k]: {**_over_runs(scores_from_counts(counts[:, k])), "n": int(counts[0, k].sum())} for k in order}


def metrics_from_predictions(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """All numbers of a summary, from the predictions alone.

    Args:
        predictions: rows of any number of runs and folds.
        classes: class names in order.

    Returns:
        `validation` (None where there is none) and `test`: per run the mean over folds of each fold's metric, described
        over runs; `pooled`: per run over the test predictions of all folds together, described over runs, with the
        interval over speakers; `confusion_matrix`: test counts summed over folds and runs; `per_class`: pooled, mean
        over runs; `groups`: by gender and speaker; `folds`: each fold's test metrics over runs, and its utterances `n`.

    Raises:
        TrainingError: the frame is not of that form, there is no test prediction, runs differ in their folds, or an
            utterance is tested twice in a run.
    """
    check_predictions(predictions, classes)
    parts = {split: predictions[predictions["split"] == split] for split in SPLITS}
    test = parts["test"]
    if not len(test):
        raise TrainingError("there are no test predictions", expected="rows whose split is test")
    _refuse_twice(test, ["run", "utterance_id"], "in the test folds of one run")
    counts = {split: _tally_folds(part, classes, split) for split, part in parts.items() if len(part)}
    described = {
        split: _over_runs({name: v.mean(axis=1) for name, v in scores_from_counts(c).items()})
        for split, c in counts.items()
    }
    pooled_counts = counts["test"].sum(axis=1)
    pooled = _over_runs(scores_from_counts(pooled_counts))
    speakers, by_speaker = _tally_groups(test, classes, "speaker")
    known = len(speakers) > 1 and not (test["speaker"] == "").any()
    intervals = cluster_intervals(by_speaker) if known else None
    for name in METRICS:
        pooled[name]["ci_95_speakers"] = intervals[name] if intervals else None
    return {
        "validation": described.get("validation"),
        "test": described["test"],
        "pooled": pooled,
        "confusion_matrix": {
            "labels": list(classes),
            "counts": pooled_counts.sum(axis=0).tolist(),
            "runs": len(pooled_counts),
        },
        "per_class": _by_class(pooled_counts, classes),
        "groups": _groups(test, classes),
        "folds": _by_fold(test, counts["test"]),
    }

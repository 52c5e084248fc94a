"""Predictions -> the numbers of a summary: pure functions; every stored number is made here and can be made again.

A frame of predictions has one row per prediction, with the columns of `COLUMNS`, and for each class a column `p_<class>` with
its probability. Of other targets than classes it has other columns of the truth, see `ser.results.metrics.measures`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from ser.errors import TrainingError
from ser.results.metrics.classification import class_scores
from ser.results.metrics.intervals import cluster_intervals, known_mean, metrics_over_runs, unit_counts
from ser.results.metrics.measures import (
    MEASURES,
    RATED_AS,
    VALUE,
    Dimensions,
    Labels,
    Measure,
    columns,
    dimensions_beside,
    macro_f1,
    measure_of,
    ratings_beside,
)
from ser.results.records.names import AMOUNTS
from ser.results.records.numbers import (
    ClassScores,
    Confusion,
    FoldMetrics,
    GroupGap,
    Groups,
    GroupScores,
    Metrics,
    Numbers,
    OutputScores,
)

TEXT_COLUMNS = ("utterance_id", "fold", "split", "true", "predicted", "speaker", "gender")
COLUMNS = ("utterance_id", "run", "fold", "split", "true", "predicted", "speaker", "gender")
SPLITS = ("validation", "test")

Counts = NDArray[Any]


def check_predictions(predictions: pd.DataFrame, classes: Sequence[str]) -> None:
    """Refuse a frame that is not one of predictions over these classes.

    Raises:
        TrainingError: a column is missing, a split or a class is unknown, a probability is not finite, or an utterance is
            predicted twice within a run, fold and split.
    """
    measure = measure_of(predictions)
    named = () if measure.kind in ("emotion", "votes") else ("true", "predicted")
    numbers = [f"{prefix}{name}" for prefix in ("p_", measure.truth) if prefix for name in classes]
    numbers += [f"{prefix}{name}" for name in dimensions_beside(predictions) for prefix in (RATED_AS, VALUE)]
    wanted = [*(column for column in COLUMNS if column not in named), *numbers]
    missing = [column for column in wanted if column not in predictions.columns]
    if missing:
        raise TrainingError(f"predictions have no column {missing[0]!r}", expected=f"columns {', '.join(wanted)}")
    if not len(predictions):
        raise TrainingError("there are no predictions", expected="one row per utterance")
    texts = {"split": SPLITS, "true": tuple(classes), "predicted": tuple(classes)}
    for column, allowed in ((c, a) for c, a in texts.items() if c not in named):
        strange = ~predictions[column].isin(allowed)
        if strange.any():
            row = predictions.iloc[int(strange.to_numpy().argmax())]
            raise TrainingError(
                f"prediction of {row['utterance_id']!r}: column {column}",
                expected=f"one of {', '.join(allowed)}",
                found=repr(row[column]),
            )
    bad = ~np.isfinite(columns(predictions, "", numbers)).all(axis=1)
    if bad.any():
        name = predictions["utterance_id"].iloc[int(bad.argmax())]
        what = "predicted values" if measure.kind == "dimensions" else "probabilities"
        raise TrainingError(f"the {what} of {name!r} are not finite", action="Did training diverge? Lower --lr.")
    keys = [k for k in (*AMOUNTS, "run", "fold", "split", "utterance_id") if k in predictions.columns]
    _refuse_twice(predictions, keys, "within one run, fold and split")


def _refuse_twice(frame: pd.DataFrame, keys: list[str], where: str) -> None:
    if frame["utterance_id"].is_unique:  # of one run, mostly, and found much sooner
        return
    twice = frame.duplicated(keys)
    if twice.any():
        row = frame.iloc[int(twice.to_numpy().argmax())]
        raise TrainingError(
            f"utterance {row['utterance_id']!r} is predicted twice {where} (run {row['run']}, fold {row['fold']})",
            expected="every utterance once",
        )


def _tally_folds(frame: pd.DataFrame, classes: Sequence[str], split: str, measure: Measure) -> Counts:
    """The sums of a measure, such as confusion counts, of one split: `(runs, folds, K, K)`.

    Raises:
        TrainingError: a run lacks a fold that another run has.
    """
    runs, run = np.unique(frame["run"].to_numpy(dtype=np.int64), return_inverse=True)
    folds, fold = np.unique(frame["fold"].to_numpy(dtype=str), return_inverse=True)
    counts = measure.tally(frame, classes, (len(runs), len(folds)), run.astype(np.int64), fold.astype(np.int64))
    empty = measure.number(counts) == 0
    if empty.any():
        r, f = np.argwhere(empty)[0]
        raise TrainingError(
            f"run {runs[r]} has no {split} predictions of fold {folds[f]}",
            expected="the same folds in every run",
            action="Run the same command again: it makes what is missing.",
        )
    return counts


def group_counts(frame: pd.DataFrame, classes: Sequence[str], column: str) -> tuple[list[str], Counts]:
    """Names of the groups in a column ("" left out) and their counts `(groups, runs, K, K)`."""
    frame = frame[frame[column] != ""]
    return np.unique(frame[column].to_numpy(dtype=str)).tolist(), unit_counts(frame, classes, frame[column])


def _pooled(counts: Counts, by_speaker: Counts | None, measure: Measure) -> Metrics:
    """Metrics of `(runs, K, K)` counts over runs, with intervals over speakers from `(speakers, runs, K, K)`, if there are."""
    found = metrics_over_runs(measure.scores(counts))
    intervals = None if by_speaker is None else cluster_intervals(by_speaker, measure)
    for name, metric in found.items():
        metric.ci_95_speakers = None if intervals is None else intervals[name]
    return found


def _by_class(pooled: Counts, classes: Sequence[str]) -> dict[str, ClassScores]:
    """The mean over runs of each class's scores; None where no run has one."""
    scores = class_scores(pooled)
    found = {}
    for k, name in enumerate(classes):
        support = float(scores["support"][:, k].mean())
        found[name] = ClassScores(
            precision=known_mean(scores["precision"][:, k]),
            recall=known_mean(scores["recall"][:, k]),
            F1=known_mean(scores["F1"][:, k]),
            support=int(support) if support.is_integer() else support,
        )
    return found


def _by_group(test: pd.DataFrame, classes: Sequence[str], column: str) -> tuple[dict[str, GroupScores], GroupGap | None]:
    """Scores of each gender or speaker (pooled over folds, mean over runs), and the widest gap between two groups."""
    names, counts = group_counts(test, classes, column)
    if not names:
        return {}, None
    measure = measure_of(test)
    values = {metric: _means_of_known(measure.score(counts, metric)) for metric in measure.groups}
    n = measure.number(counts).mean(axis=1)
    groups = {
        name: GroupScores(**{m: float(v[i]) for m, v in values.items() if not np.isnan(v[i])}, n=round(float(n[i])))
        for i, name in enumerate(names)
    }
    gap = {m: float(np.ptp(v[~np.isnan(v)])) for m, v in values.items() if not np.isnan(v).all()}
    return groups, GroupGap(**gap) if len(names) > 1 and gap else None


def _means_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over runs where a score is defined, `(groups, runs)` -> `(groups,)`; NaN where it is in no run."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, values, 0).sum(axis=1) / known.sum(axis=1)
    return mean


def _groups(test: pd.DataFrame, classes: Sequence[str]) -> Groups:
    gender, gender_gap = _by_group(test, classes, "gender")
    speaker, speaker_gap = _by_group(test, classes, "speaker")
    return Groups(gender=gender, gender_gap=gender_gap, speaker=speaker, speaker_gap=speaker_gap)


def _by_fold(test: pd.DataFrame, counts: Counts, measure: Measure) -> dict[str, FoldMetrics]:
    """Test metrics of each fold, `counts (runs, folds, K, K)`, described over runs; folds that are numbers in their order."""
    names = np.unique(test["fold"].to_numpy(dtype=str)).tolist()
    order = sorted(range(len(names)), key=lambda k: (len(names[k]) if names[k].isdecimal() else 99, names[k]))
    found = {}
    for k in order:
        metrics = dict(metrics_over_runs(measure.scores(counts[:, k])).items())
        found[names[k]] = FoldMetrics(**metrics, n=int(measure.number(counts[0, k])))  # type: ignore[arg-type]
    return found


def _by_output(pooled: Counts, outputs: Sequence[str], measure: Measure) -> dict[str, OutputScores]:
    """The mean over runs of each dimension's or each label's scores."""
    found = {}
    for k, name in enumerate(outputs):
        if isinstance(measure, Dimensions):
            one = {m: float(measure.each(pooled, m)[:, k].mean()) for m in measure.names}
            support = float(pooled[:, k, 0].mean())
        else:
            own = pooled[:, k]
            one = {"F1": float(macro_f1(own[:, None]).mean())}
            support = float((own[:, 0] + own[:, 2]).mean())
        found[name] = OutputScores(**one, support=int(support) if support.is_integer() else support)
    return found


def metrics_from_predictions(predictions: pd.DataFrame, classes: Sequence[str]) -> Numbers:
    """Compute all numbers of a summary, from the predictions alone.

    Args:
        predictions: rows of any number of runs and folds.
        classes: class names in order; of other targets the names of the outputs.

    Returns:
        `validation` (None where there is none) and `test`: per run the mean over folds of each fold's metric, described
        over runs; `pooled`: per run over the test predictions of all folds together, described over runs, with the
        interval over speakers; `confusion_matrix`: test counts summed over folds and runs; `per_class`: pooled, mean
        over runs; `outputs`: in place of these two, of dimensions and of several labels; `ratings`: of dimensions beside
        classes; `groups`: by gender and speaker;
        `folds`: each fold's test metrics over runs, and its utterances `n`.

    Raises:
        TrainingError: the frame is not of that form, there is no test prediction, runs differ in their folds, or an
            utterance is tested twice in a run.
    """
    check_predictions(predictions, classes)
    measure = measure_of(predictions)
    parts = {split: predictions[predictions["split"] == split] for split in SPLITS}
    test = parts["test"]
    if not len(test):
        raise TrainingError("there are no test predictions", expected="rows whose split is test")
    _refuse_twice(test, ["run", "utterance_id"], "in the test folds of one run")
    counts = {split: _tally_folds(part, classes, split, measure) for split, part in parts.items() if len(part)}
    described = {
        split: metrics_over_runs({name: v.mean(axis=1) for name, v in measure.scores(c).items()}) for split, c in counts.items()
    }
    pooled = counts["test"].sum(axis=1)
    speakers, by_speaker = group_counts(test, classes, "speaker")
    known = len(speakers) > 1 and not (test["speaker"] == "").any()
    return Numbers(
        validation=described.get("validation"),
        test=described["test"],
        pooled=_pooled(pooled, by_speaker if known else None, measure),
        **_details(pooled, classes, measure)._asdict(),
        ratings=_ratings(test),
        groups=_groups(test, classes),
        folds=_by_fold(test, counts["test"], measure),
    )


def _ratings(test: pd.DataFrame) -> dict[str, OutputScores] | UnsetType:
    """The scores of each dimension that is predicted beside classes."""
    if not dimensions_beside(test):
        return UNSET
    names, frame = ratings_beside(test)
    measure, run = MEASURES["dimensions"], np.unique(test["run"].to_numpy(dtype=np.int64), return_inverse=True)[1]
    sums = measure.tally(frame, names, (int(run.max()) + 1,), run.astype(np.int64))
    return _by_output(sums, names, measure)


class _Details(NamedTuple):
    """The numbers of each class, or of each dimension or label."""

    confusion_matrix: Confusion | UnsetType = UNSET
    per_class: dict[str, ClassScores] | UnsetType = UNSET
    outputs: dict[str, OutputScores] | UnsetType = UNSET


def _details(pooled: Counts, classes: Sequence[str], measure: Measure) -> _Details:
    """The confusion matrix and the scores of each class; of dimensions and of several labels, the scores of each."""
    if isinstance(measure, (Dimensions, Labels)):
        return _Details(outputs=_by_output(pooled, classes, measure))
    counts = pooled[..., : len(classes), : len(classes)].astype(np.int64)
    matrix = Confusion(labels=list(classes), counts=counts.sum(axis=0).tolist(), runs=len(counts))
    return _Details(matrix, _by_class(counts, classes))

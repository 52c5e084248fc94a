"""A unit of work: a stack of runs, trained on a fold or on several that share their training, predicted and described."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import SerError
from ser.features.normalise import normalise
from ser.metadata.folds.fold import Fold
from ser.results.records.names import run_name
from ser.train.checkpoint import save_head
from ser.train.classical.learner import Fitted
from ser.train.loop.data import Trained
from ser.train.nn import streams
from ser.train.runs import identity
from ser.train.runs.balance import drawn, sampled
from ser.train.runs.divergence import Parts, apart, folds_named, located, strange
from ser.train.runs.job import Finished, Job, Run, first_of, head_name, refits
from ser.train.runs.memory import within_memory
from ser.train.runs.recipe import Learns, again, learner_of


def guarded(job: Job, folds: list[Fold], runs: list[int]) -> Finished:
    try:
        return train_unit(job, folds, runs)
    except SerError as error:
        return [error]


def train_unit(job: Job, folds: list[Fold], runs: list[int]) -> Finished:
    """Train a stack of runs on some folds; where the device has no memory for it, half of them after the other half.

    Returns:
        A run for each of them and each fold, and an error for each that diverged.
    """

    def halves(middle: int) -> Finished:
        return train_unit(job, folds, runs[:middle]) + train_unit(job, folds, runs[middle:])

    where = folds_named(folds)
    return within_memory(job.device, job.config.head, runs, where, lambda: _stack(job, folds, runs), halves)


def _stack(job: Job, folds: list[Fold], runs: list[int]) -> Finished:
    """Train a stack of runs, once for all of the folds but what each fold trains by itself, and predict each fold's parts."""
    first = first_of(folds[0])
    data, statistics = normalise(job.data, job.normalize, first.train, job.limit)
    learner = learner_of(data, job.config, job.device)
    parts = _train_on(job, learner, first, _seeds(job, first, runs))
    if job.tuning is None:
        return _finish(job, folds, runs, learner, statistics, parts, [])
    errors, runs, (parts,) = apart(runs, folds_named(folds), parts)
    tuner = again(learner, job.tuning)
    finished: Finished = [*errors]
    for fold in folds if runs else ():
        tuned = _train_on(job, tuner, fold, _seeds(job, fold, runs), learner.weights(parts))
        finished += _finish(job, [fold], runs, tuner, statistics, tuned, parts, len(folds))
    return finished


def _seeds(job: Job, fold: Fold, runs: list[int]) -> list[int]:
    return [streams.derive(job.seed, k, fold.stream or fold.name) for k in runs]


def _train_on(job: Job, learner: Learns, fold: Fold, seeds: list[int], start: list[Any] | None = None) -> Parts:
    rows = sampled(job, fold.train, seeds)
    if fold.unlabelled is None:
        return learner.train(rows, fold.validation, seeds, start)
    return learner.train(rows, fold.validation, seeds, start, unlabelled=fold.unlabelled, oracle=fold.oracle)


def _finish(
    job: Job,
    folds: list[Fold],
    runs: list[int],
    learner: Learns,
    statistics: dict[str, dict[str, Any]],
    parts: Parts,
    before: Parts,
    shared: int = 1,
) -> Finished:
    """Train again where that is wanted, predict each fold's validation and test part, and describe the runs.

    Args:
        parts: trained on these folds.
        before: what they went on from, itself shared by so many folds; of no part where that is nothing.
    """
    fold, where = folds[0], folds_named(folds)
    errors, runs, (parts, before) = apart(runs, where, parts, before)
    refit, final = bool(runs) and refits(job, fold), parts
    if refit:
        seeds = _seeds(job, fold, runs)
        final = learner.retrain(sampled(job, np.concatenate([fold.train, fold.validation]), seeds), seeds, parts)
        diverged, runs, (parts, before, final) = apart(runs, where, parts, before, final)
        errors += diverged
    finished: Finished = [*errors]
    if not runs:
        return finished
    seeds, weights = _seeds(job, fold, runs), learner.weights(final)
    validation = learner.predict(learner.weights(parts), fold.validation)
    tests = [learner.predict(weights, f.test) for f in folds]
    for slot, (k, trained) in enumerate(zip(runs, learner.merge(parts), strict=True)):
        error = strange(validation[slot], *(test[slot] for test in tests))
        if error is not None:
            finished.append(located(error, f"run {k}", where))
            continue
        for other in [final, before] if refit else [before]:
            trained.seconds += sum(part[slot].seconds for part in other) / (1 if other is final else shared)
            trained.notes += [n for n in _notes(other, slot) if n not in trained.notes]
        trained.seconds /= len(folds)
        account = learner.account(trained, refit)
        for one, test in zip(folds, tests, strict=True):
            predicted = [("validation", fold.validation, validation[slot]), ("test", one.test, test[slot])]
            finished.append(_recorded(job, one, k, seeds[slot], trained, account, predicted))
        if job.save:
            _save(job, fold, k, seeds[slot], [part[slot] for part in final], statistics)
    return finished


def _notes(parts: Parts, slot: int) -> list[str]:
    return [note for part in parts for note in part[slot].notes]


def _save(
    job: Job, fold: Fold, run: int, seed: int, parts: list[Trained], statistics: dict[str, dict[str, Any]]
) -> None:
    name = head_name(fold)
    save_head(
        job.folder / f"{run_name(run, name)}.safetensors",
        data=job.data,
        config=job.config,
        weights=[part.estimator if isinstance(part, Fitted) else part.weights for part in parts],
        normalize=job.normalize,
        limit=job.limit,
        statistics=statistics,
        stamps=job.stamps,
        source={
            "experiment": job.experiment,
            "config_hash": job.config_hash,
            "run": run,
            "fold": name,
            "seed": seed,
            "dataset": _trained_on(job, fold),
            **_durations(job, fold),
        },
    )


def _trained_on(job: Job, fold: Fold) -> str:
    """The corpora that a head was trained on."""
    if "dataset" not in job.data.frame:
        return job.data.dataset
    return "+".join(pd.unique(job.data.frame["dataset"].iloc[_train_rows(fold)]))


def _train_rows(fold: Fold) -> NDArray[np.int64]:
    return np.concatenate([f.train for f in (fold.before, fold) if f is not None])


def _durations(job: Job, fold: Fold) -> dict[str, dict[str, float]]:
    """The lengths of the training utterances, s, for `ser predict` to compare new ones with; {} where none is known."""
    if "duration" not in job.data.frame:
        return {}
    seconds = job.data.frame["duration"].iloc[_train_rows(fold)].dropna()
    if seconds.empty:
        return {}
    return {"durations": {"min": float(seconds.min()), "median": float(seconds.median()), "max": float(seconds.max())}}


def _recorded(
    job: Job,
    fold: Fold,
    run: int,
    seed: int,
    trained: Trained,
    account: dict[str, Any],
    predicted: Sequence[tuple[str, NDArray[np.int64], NDArray[np.float64]]],
) -> Run:
    """What is recorded of a run; `predicted` has splits, their rows and the probabilities."""
    classes = job.data.classes
    frames = [
        identity.prediction_rows(job.data, rows, shares, run=run, fold=fold.name, split=split)
        for split, rows, shares in predicted
    ]
    predictions = pd.concat(frames, ignore_index=True)
    return {
        "experiment": job.experiment,
        "config_hash": job.config_hash,
        "run": run,
        "fold": fold.name,
        "seed": seed,
        "n": {
            "train": len(fold.train),
            "validation": len(fold.validation),
            "test": len(fold.test),
            **({} if fold.unlabelled is None else {"unlabelled": len(fold.unlabelled)}),
            **({} if fold.before is None else {"before": len(fold.before.train)}),
            **({} if job.balance == "none" else {"sampled": drawn(job, fold.train)}),
        },
        **account,
        **identity.scores_by_split(predictions, classes),
        "seconds": trained.seconds,
        "notes": trained.notes + identity.collapse_note(predictions, classes),
    }, predictions

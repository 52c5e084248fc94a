"""The work of one worker: a stack of runs, trained on a fold or on several that share their training, tested and described."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from msgspec import UNSET
from numpy.typing import NDArray

from ser import accelerator
from ser.errors import SerError, TrainingError
from ser.features.normalise import Statistics, distances, normalise, scale, standardise_target
from ser.metadata.folds.fold import Fold
from ser.results.records.model import Sizes
from ser.results.records.names import ALL_ROWS
from ser.train.checkpoint import save_head
from ser.train.classical.learner import Fitted
from ser.train.head_file import KNOWN
from ser.train.loop.data import Account, Trained, best_epochs
from ser.train.loop.handover import Handover
from ser.train.loop.learner import Learner
from ser.train.loop.target_selection import thinned
from ser.train.nn import streams
from ser.train.runs.divergence import Parts, apart, folds_named, located, strange
from ser.train.runs.halving import Referee
from ser.train.runs.job import Finished, Job, Run, first_of, head_name
from ser.train.runs.joined_corpora import epoch_size, sampled
from ser.train.runs.predictions import prediction_rows, scored_run
from ser.train.runs.recipe import Learns, again, learner_of

T = TypeVar("T")
AT_ONCE = 64  # utterances whose distance from the others is taken at a time, as frames of thousands are too many for the memory
Floats = NDArray[np.float64]


def guarded(job: Job, folds: list[Fold], runs: list[int], handover: Handover | None = None) -> Finished:
    """Train as `train_unit`; a unit that cannot be trained at all gives its error."""
    try:
        finished = train_unit(job, folds, runs, handover)
    except SerError as error:
        finished = [error]
    if job.rungs is not None:
        job.rungs.close(runs, first_of(folds[0]).name)
    return finished


def train_unit(job: Job, folds: list[Fold], runs: list[int], handover: Handover | None = None) -> Finished:
    """Train a stack of runs on some folds; where the device has too little memory for it, one half after the other.

    Args:
        handover: see `Unit`.

    Returns:
        A run for each of them and each fold, and an error for each that diverged; nothing of a run that another unit ends.
    """

    def halves(middle: int) -> Finished:
        return train_unit(job, folds, runs[:middle]) + train_unit(job, folds, runs[middle:])

    where = folds_named(folds)
    return within_memory(job.device, job.recipe.head, runs, where, lambda: _stack(job, folds, runs, handover), halves)


def within_memory(
    device: str, head: str, runs: Sequence[int], where: str, whole: Callable[[], T], halves: Callable[[int], T]
) -> T:
    """The result of `whole()`; where the device has too little memory for it, one half of the runs is trained after the other.

    Args:
        runs: numbers of the stack's runs.
        where: the folds, for errors.
        whole: trains the stack.
        halves: trains the runs before a position, then the runs from it on.

    Raises:
        TrainingError: too little memory for one run; or the training's own error, with the runs and the folds.
    """
    try:
        return whole()
    except (RuntimeError, MemoryError) as error:
        if not accelerator.is_full(error):
            raise
        if len(runs) == 1:
            raise TrainingError(
                f"{device} has not enough memory for one run of head {head}",
                found=str(error).split("\n")[0],
                action=f"Take a smaller --batch-size, or {'fewer --jobs' if device == 'cpu' else '--device cpu'}.",
            ) from None
    except TrainingError as error:
        if error.option:  # it fits no run
            raise
        which = f"run {runs[0]}" if len(runs) == 1 else f"one of runs {', '.join(map(str, runs))}"
        raise located(error, which, where) from None
    accelerator.empty()
    return halves(len(runs) // 2)


def _stack(job: Job, folds: list[Fold], runs: list[int], handover: Handover | None) -> Finished:
    """Train a stack of runs once for all folds, then what each fold trains by itself, and predict each fold's parts."""
    first = first_of(folds[0])
    data, statistics = normalise(job.data, job.normalize, first.train, job.limit)
    data = standardise_target(data, first.train)
    learner = learner_of(data, job.recipe, job.device)
    if job.rungs is not None and isinstance(learner, Learner):
        learner.judge = Referee(job.rungs, runs, first.name)
    if isinstance(learner, Learner):
        learner.handover = handover
    parts = _train_on(job, learner, first, _seeds(job, first, runs))
    if handover is not None and handover.until is not None:
        return []
    if job.tuning is None:
        return _finish(job, folds, runs, learner, statistics, parts, [])
    errors, runs, (parts,) = apart(runs, folds_named(folds), parts)
    tuner = again(learner, job.tuning)
    finished: Finished = [*errors]
    for fold in folds if runs else ():
        tuned = _train_on(job, tuner, fold, _seeds(job, fold, runs), learner.weights(parts))
        finished += _finish(job, [fold], runs, tuner, statistics, tuned, parts, len(folds))
    if job.along is not None:
        slots = [slot for slot, k in enumerate(runs) if k in job.along.runs]
        own = [[part[slot] for slot in slots] for part in parts]
        finished += _finish(job.along.job, job.along.folds, [runs[slot] for slot in slots], learner, statistics, own, [])
    return finished


def train_on_all(job: Job, epochs: int, runs: list[int]) -> list[SerError]:
    """Train a stack of runs on all utterances and save their heads; returns an error for each that diverged.

    Args:
        epochs: the schedule ends with them, as where runs are trained again on training and validation.
    """
    everyone, nothing = np.arange(len(job.data.frame)), np.arange(0)
    fold = Fold(ALL_ROWS, everyone, nothing, nothing)

    def whole() -> list[SerError]:
        data, statistics = normalise(job.data, job.normalize, everyone, job.limit)
        learner = learner_of(standardise_target(data, everyone), job.recipe, job.device)
        seeds = _seeds(job, fold, runs)
        errors, left, (parts,) = apart(runs, ALL_ROWS, learner.retrain(everyone, seeds, epochs))
        facts = {"epochs": epochs, **_novelty(job, fold, statistics)}
        for slot, k in enumerate(left):
            own = [part[slot] for part in parts]
            _save(job, fold, k, seeds[runs.index(k)], own, statistics, learner.data.unit, facts)
        return list(errors)

    def halves(middle: int) -> list[SerError]:
        return train_on_all(job, epochs, runs[:middle]) + train_on_all(job, epochs, runs[middle:])

    return within_memory(job.device, job.recipe.head, runs, "all utterances", whole, halves)


def _seeds(job: Job, fold: Fold, runs: list[int]) -> list[int]:
    return [streams.derive(job.seed, k, fold.stream or fold.name) for k in runs]


def _train_on(job: Job, learner: Learns, fold: Fold, seeds: list[int], start: list[Any] | None = None) -> Parts:
    rows = sampled(job.data, fold.train, seeds, job.balance)
    if fold.unlabelled is None:
        return learner.train(rows, fold.validation, seeds, start)
    return learner.train(rows, fold.validation, seeds, start, unlabelled=fold.unlabelled, oracle=fold.oracle)


def _finish(
    job: Job,
    folds: list[Fold],
    runs: list[int],
    learner: Learns,
    statistics: dict[str, Statistics],
    parts: Parts,
    before: Parts,
    shared: int = 1,
) -> Finished:
    """Train again where that is wanted, predict each fold's validation and test part, and describe the runs.

    Args:
        parts: trained on these folds.
        before: the trainings that they went on from; empty where there are none.
        shared: the number of folds that share `before`.
    """
    fold, where = folds[0], folds_named(folds)
    errors, runs, (parts, before) = apart(runs, where, parts, before)
    refit, final = bool(runs) and job.refits(fold), parts
    if refit:
        seeds = _seeds(job, fold, runs)
        rows = sampled(job.data, np.concatenate([fold.train, fold.validation]), seeds, job.balance)
        final = learner.retrain(rows, seeds, best_epochs(parts))
        diverged, runs, (parts, before, final) = apart(runs, where, parts, before, final)
        errors += diverged
    finished: Finished = [*errors]
    if not runs:
        return finished
    seeds, weights = _seeds(job, fold, runs), learner.weights(final)
    validation = learner.validated(parts, fold.validation)
    tests = [learner.predict(weights, f.test) for f in folds]
    novelty = _novelty(job, fold, statistics) if job.save else {}
    for slot, (k, trained) in enumerate(zip(runs, learner.merge(parts), strict=True)):
        error = strange(validation[slot], *(test[slot] for test in tests))
        if error is not None:
            finished.append(located(error, f"run {k}", where))
            continue
        for other in [final, before] if refit else [before]:
            trained.seconds += sum(part[slot].seconds for part in other) / (1 if other is final else shared)
            trained.notes += [n for n in _notes(other, slot) if n not in trained.notes]
        trained.seconds /= len(folds)
        account, layers = learner.account(trained, refit), learner.layer_weights([part[slot] for part in final])
        if layers:
            account["layer_weights"] = layers
        for one, test in zip(folds, tests, strict=True):
            predicted = [("validation", fold.validation, validation[slot]), ("test", one.test, test[slot])]
            finished.append(_recorded(job, one, k, seeds[slot], trained, account, predicted))
        if job.save:
            _save(job, fold, k, seeds[slot], [part[slot] for part in final], statistics, learner.data.unit, novelty)
    return finished


def _notes(parts: Parts, slot: int) -> list[str]:
    return [note for part in parts for note in part[slot].notes]


def _save(
    job: Job,
    fold: Fold,
    run: int,
    seed: int,
    parts: list[Trained],
    statistics: dict[str, Statistics],
    unit: tuple[Floats, Floats] | None,
    more: Mapping[str, float],
) -> None:
    save_head(
        job.head_file(run, fold),
        data=replace(job.data, unit=unit),
        config=job.recipe,
        weights=[part.estimator if isinstance(part, Fitted) else part.weights for part in parts],
        normalize=job.normalize,
        limit=job.limit,
        statistics=statistics,
        stamps=job.stamps,
        source={
            "experiment": job.experiment,
            "config_hash": job.config_hash,
            "run": run,
            "fold": head_name(fold),
            "seed": seed,
            "dataset": _trained_on(job, fold),
            **_durations(job, fold),
            **_audio(job),
            **more,
        },
    )


def _trained_on(job: Job, fold: Fold) -> str:
    """The names of the corpora that a head was trained on, with `+` between them."""
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


def _audio(job: Job) -> dict[str, Any]:
    """Rates and channels of the corpus, for `ser predict` to compare recordings with; {} where they are not known."""
    if "audio" not in job.data.table.facts or "dataset" in job.data.frame:
        return {}
    return {"audio": job.data.table.facts["audio"]}


def _novelty(job: Job, fold: Fold, statistics: dict[str, Statistics]) -> dict[str, float]:
    """The distance from their mean that `KNOWN` of the training utterances keep, for `ser predict` to compare new ones with."""
    if not statistics:
        return {}
    rows, blocks = thinned(_train_rows(fold)), [b for b in job.data.blocks if not b.vocabulary]
    found = [
        distances([scale(block.only(part), job.normalize, statistics, job.limit) for block in blocks])
        for part in np.array_split(rows, -(-len(rows) // AT_ONCE))
    ]
    limit = float(np.quantile(np.concatenate(found), KNOWN))
    return {"novelty": limit} if limit > 0 else {}


def _recorded(
    job: Job,
    fold: Fold,
    run: int,
    seed: int,
    trained: Trained,
    account: Account,
    predicted: Sequence[tuple[str, NDArray[np.int64], NDArray[np.float64]]],
) -> Run:
    """The record of a run and its predictions.

    Args:
        account: the learner's account of the training.
        predicted: splits, their rows and the probabilities.
    """
    # Of all splits at once: to make a frame and join it costs more than its rows.
    splits, rows, shares = zip(*predicted, strict=True)
    named = np.repeat(np.array(splits, dtype=object), [len(r) for r in rows])
    predictions = prediction_rows(job.data, np.concatenate(rows), np.concatenate(shares), run=run, fold=fold.name, split=named)
    return scored_run(
        predictions,
        job.classes,
        experiment=job.experiment,
        config_hash=job.config_hash,
        run=run,
        fold=fold.name,
        seed=seed,
        n=Sizes(
            train=len(fold.train),
            validation=len(fold.validation),
            test=len(fold.test),
            unlabelled=UNSET if fold.unlabelled is None else len(fold.unlabelled),
            before=UNSET if fold.before is None else len(fold.before.train),
            sampled=UNSET if job.balance == "none" else epoch_size(job.data, fold.train),
        ),
        **account,
        seconds=trained.seconds,
        notes=trained.notes,
    )

"""Runs of experiments: which are missing, training them over workers, and their records as they finish."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch

from ser.errors import SerError, TrainingError
from ser.features.normalise import normalise
from ser.features.tensors import Tensors
from ser.metadata.splits import Fold
from ser.progress import progress
from ser.results import record
from ser.results.names import run_name
from ser.train import executor, experiment, streams
from ser.train.batches import Resident
from ser.train.config import Config
from ser.train.data import Trained
from ser.train.recipe import Recipe, learner_of, stack_of
from ser.train.saved import load_head, save_head

Run: TypeAlias = tuple[dict[str, Any], pd.DataFrame]


@dataclass(frozen=True, eq=False)
class Job:
    """One configuration on one dataset: what a worker needs to train its runs.

    Attributes:
        data: tensors before normalisation.
        folder: where the runs' records lie.
        refit: `auto`, `always` or `never`, see `ser.train.fit.fit`.
        save: whether each run's head is written too.
    """

    data: Tensors
    config: Recipe
    normalize: str
    limit: float
    seed: int
    device: str
    experiment: str
    config_hash: str
    stamps: list[str]
    folder: Path
    refit: str = "auto"
    save: bool = False


Unit: TypeAlias = tuple[Job, Fold, list[int]]


def plan(job: Job, folds: Sequence[Fold], runs: Sequence[int], stack: int | None) -> tuple[list[Run], list[Unit]]:
    """The runs that were recorded before, and units of work (runs trained together) for those that are missing."""
    done: list[Run] = []
    units: list[Unit] = []
    size = stack_of(job.config, job.data, len(runs), job.device, stack, [len(f.train) for f in folds])
    for fold in folds:
        earlier = {k: record.read_run(job.folder, k, fold.name, config_hash=job.config_hash) for k in runs}
        if job.save:
            earlier = {k: r if _has_head(job, k, fold.name) else None for k, r in earlier.items()}
        done += [r for r in earlier.values() if r is not None]
        units += [(job, fold, g) for g in executor.groups([k for k in runs if earlier[k] is None], size)]
    return done, units


def train(
    units: Sequence[Unit], jobs: int | None, label: str, quiet: bool, keep_going: bool = False
) -> Iterator[tuple[Job, list[Run] | SerError]]:
    """Train units, of one job or of several, and record their runs as they finish.

    Args:
        keep_going: give a unit's error in place of its runs, and go on with the others.
    """
    workers = 1 if _is_short(units) else executor.workers(jobs, len(units), units[0][0].device)
    results = executor.run_units(_guarded if keep_going else _unit, units, workers)
    for unit, finished in zip(units, progress(results, len(units), label, "stack", quiet), strict=True):
        if not isinstance(finished, SerError):
            for run, predictions in finished:
                record.write_run(unit[0].folder, run, predictions)
        yield unit[0], finished


def _is_short(units: Sequence[Unit]) -> bool:
    """Whether this process will have trained all units before workers would have begun and done so."""
    total, jobs = 0.0, {id(job): job for job, _, _ in units}
    for key, job in jobs.items():
        if not isinstance(job.config, Config) or job.config.context != "utterance" or total > executor.SHORT:
            return False
        inputs = Resident(job.data.blocks).inputs
        for own, fold, runs in units:
            if id(own) == key:
                cost = partial(executor.seconds, job.config, inputs, len(job.data.classes), len(fold.train))
                total += cost(len(runs))
                if _refits(job, fold):  # runs differ in their epochs then, and train nearly each by itself
                    total += len(runs) * cost(1)
                if total > executor.SHORT:
                    return False
    return True


def _refits(job: Job, fold: Fold) -> bool:
    """Whether runs are trained again on training and validation."""
    return job.refit == "always" or (job.refit == "auto" and fold.carved)


def _has_head(job: Job, run: int, fold: str) -> bool:
    """Whether a run's saved head is there and of this configuration."""
    path = job.folder / f"{run_name(run, fold)}.safetensors"
    return path.exists() and load_head(path).about["config_hash"] == job.config_hash


def _guarded(job: Job, fold: Fold, runs: list[int]) -> list[Run] | SerError:
    try:
        return _unit(job, fold, runs)
    except SerError as error:
        return error


def _unit(job: Job, fold: Fold, runs: list[int]) -> list[Run]:
    """Train a stack of runs on one fold; where the device has no memory for it, half of them after the other half."""
    try:
        return _stack(job, fold, runs)
    except torch.OutOfMemoryError as error:
        if len(runs) == 1:
            raise TrainingError(
                f"{job.device} has not enough memory for one run of head {job.config.head}",
                found=str(error).split("\n")[0],
                action="Take a smaller --batch-size, or --device cpu.",
            ) from None
    except TrainingError as error:
        where = f"run {runs[0]}" if len(runs) == 1 else f"one of runs {', '.join(map(str, runs))}"
        problem = f"{error.problem} ({where}, fold {fold.name})"
        raise TrainingError(problem, expected=error.expected, found=error.found, action=error.action) from None
    torch.cuda.empty_cache()  # outside of `except`, which holds the tensors; nothing happens without a GPU
    middle = len(runs) // 2
    return _unit(job, fold, runs[:middle]) + _unit(job, fold, runs[middle:])


def _stack(job: Job, fold: Fold, runs: list[int]) -> list[Run]:
    """Train a stack of runs on one fold, and predict its validation and test parts."""
    data, statistics = normalise(job.data, job.normalize, fold.train, job.limit)
    learner = learner_of(data, job.config, job.device)
    seeds = [streams.derive(job.seed, k, fold.name) for k in runs]
    parts = learner.train(fold.train, fold.validation, seeds)
    refits = _refits(job, fold)
    final = parts
    if refits:
        final = learner.retrain(np.concatenate([fold.train, fold.validation]), seeds, parts)
    splits = {"validation": fold.validation, "test": fold.test}
    chosen = {"validation": learner.weights(parts), "test": learner.weights(final)}
    probabilities = {s: learner.predict(chosen[s], rows) for s, rows in splits.items()}
    finished = []
    for slot, (k, trained) in enumerate(zip(runs, learner.merge(parts), strict=True)):
        if refits:
            trained.seconds += sum(part[slot].seconds for part in final)
            trained.notes += [n for n in _notes(final, slot) if n not in trained.notes]
        frames = [
            experiment.prediction_rows(data, rows, probabilities[s][slot], run=k, fold=fold.name, split=s)
            for s, rows in splits.items()
        ]
        account = learner.account(trained, refits)
        finished.append(_recorded(job, fold, k, seeds[slot], trained, account, pd.concat(frames, ignore_index=True)))
        if job.save:
            _save(job, fold, k, seeds[slot], [part[slot] for part in final], statistics)
    return finished


def _notes(parts: list[list[Trained]], slot: int) -> list[str]:
    return [note for part in parts for note in part[slot].notes]


def _save(
    job: Job, fold: Fold, run: int, seed: int, parts: list[Trained], statistics: dict[str, dict[str, Any]]
) -> None:
    assert isinstance(job.config, Config)
    save_head(
        job.folder / f"{run_name(run, fold.name)}.safetensors",
        data=job.data,
        config=job.config,
        weights=[part.weights for part in parts],
        normalize=job.normalize,
        limit=job.limit,
        statistics=statistics,
        stamps=job.stamps,
        source={
            "experiment": job.experiment,
            "config_hash": job.config_hash,
            "run": run,
            "fold": fold.name,
            "seed": seed,
        },
    )


def _recorded(
    job: Job, fold: Fold, run: int, seed: int, trained: Trained, account: dict[str, Any], predictions: pd.DataFrame
) -> Run:
    classes = job.data.classes
    return {
        "experiment": job.experiment,
        "config_hash": job.config_hash,
        "run": run,
        "fold": fold.name,
        "seed": seed,
        "n": {"train": len(fold.train), "validation": len(fold.validation), "test": len(fold.test)},
        **account,
        **experiment.scores_by_split(predictions, classes),
        "seconds": trained.seconds,
        "notes": trained.notes + experiment.collapse_note(predictions, classes),
    }, predictions

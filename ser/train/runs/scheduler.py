"""Runs of experiments: which are missing, training them over workers, and their records as they finish."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial

from ser.errors import SerError, TrainingError
from ser.metadata.folds.fold import Fold
from ser.progress import progress
from ser.results.records import record
from ser.results.records.names import run_name
from ser.train.checkpoint import head_facts
from ser.train.loop.config import Config
from ser.train.loop.data import Resident
from ser.train.runs import executor
from ser.train.runs.divergence import refuse
from ser.train.runs.experiment import Begun, FitOptions
from ser.train.runs.job import Job, Run, Unit, first_of, head_name, refits
from ser.train.runs.recipe import stack_of
from ser.train.runs.worker import guarded, train_unit


def plan(job: Job, folds: Sequence[Fold], runs: Sequence[int], stack: int | None) -> tuple[list[Run], list[Unit]]:
    """The runs that were recorded before, and units of work (runs trained together) for those that are missing."""
    done: list[Run] = []
    units: list[Unit] = []
    together = trained_once(folds)
    size = stack_of(job.config, job.data, len(runs), job.device, stack, [len(first_of(g[0]).train) for g in together])
    for group in together:
        missing = []
        for k in runs:
            earlier = [_earlier(job, k, fold) for fold in group]
            found = [r for r in earlier if r is not None]
            done += found if len(found) == len(group) else []
            missing += [] if len(found) == len(group) else [k]
        units += [(job, group, g) for g in executor.groups(missing, size)]
    return done, units


def trained_once(folds: Sequence[Fold]) -> list[list[Fold]]:
    """Folds in groups that share their first training: those with the same stream of it."""
    groups: dict[tuple[str, str], list[Fold]] = {}
    for fold in folds:
        first = first_of(fold)
        alike = first.stream and first.unlabelled is None  # of each fold, other rows are unlabelled
        key = ("stream", first.stream) if alike else ("fold", fold.name)
        groups.setdefault(key, []).append(fold)
    return list(groups.values())


def _earlier(job: Job, run: int, fold: Fold) -> Run | None:
    """A run that was recorded before, with its head where that is wanted."""
    found = record.read_run(job.folder, run, fold.name, config_hash=job.config_hash)
    return found if found is None or not job.save or _has_head(job, run, fold) else None


def train(
    units: Sequence[Unit], jobs: int | None, label: str, quiet: bool, keep_going: bool = False
) -> Iterator[tuple[Job, list[Run], list[SerError]]]:
    """Train units, of one job or of several, and record their runs as they finish.

    Args:
        keep_going: where a unit cannot be trained at all, give its error, and go on with the others.

    Yields:
        Of each unit, in their order, its job, the runs that were finished, and the errors of those that diverged.
    """
    workers = 1 if _is_short(units) else executor.workers(jobs, len(units), units[0][0].device)
    with closing(executor.run_units(guarded if keep_going else train_unit, units, workers)) as results:
        in_order = progress(zip(units, results, strict=True), len(units), label, "stack", quiet)
        for (job, _, _), finished in in_order:
            runs = [r for r in finished if not isinstance(r, SerError)]
            for run in runs:
                record.write_run(job.folder, *run)
            yield job, runs, [r for r in finished if isinstance(r, SerError)]


def train_all(begun: Sequence[Begun], options: FitOptions, label: str) -> list[list[Run]]:
    """The runs of each experiment; all that are missing are trained together.

    Raises:
        TrainingError: runs diverged; all others are trained and recorded before.
    """
    planned = [plan(b.job, b.folds, b.runs, options.stack) for b in begun]
    done = [d for d, _ in planned]
    order = {id(b.job): k for k, b in enumerate(begun)}
    errors: list[SerError] = []
    for job, finished, diverged in train([u for _, us in planned for u in us], options.jobs, label, options.quiet):
        done[order[id(job)]].extend(finished)
        whose = "" if len(begun) == 1 else f"{job.experiment}: "
        errors += [TrainingError(whose + e.problem) for e in diverged]
    refuse(errors, sum(map(len, done)), [b.job.folder for b in begun])
    return done


def _is_short(units: Sequence[Unit]) -> bool:
    """Whether this process will have trained all units before workers would have begun and done so."""
    total, jobs = 0.0, {id(job): job for job, _, _ in units}
    for key, job in jobs.items():
        if not isinstance(job.config, Config) or job.config.context != "utterance" or total > executor.SHORT:
            return False
        inputs = Resident(job.data.blocks).inputs
        for own, folds, runs in units:
            if id(own) == key:
                cost = partial(executor.seconds, job.config, inputs, len(job.data.classes))
                rows = len(first_of(folds[0]).train) * (1 if folds[0].unlabelled is None else 2)
                total += cost(rows, len(runs))
                total += sum(cost(len(f.train), len(runs)) for f in folds if f.before)
                if refits(job, folds[0]):  # runs differ in their epochs then, and train nearly each by itself
                    total += len(runs) * cost(rows, 1)
                if total > executor.SHORT:
                    return False
    return True


def _has_head(job: Job, run: int, fold: Fold) -> bool:
    """Whether a run's saved head is there and of this configuration."""
    path = job.folder / f"{run_name(run, head_name(fold))}.safetensors"
    return path.exists() and head_facts(path)["config_hash"] == job.config_hash

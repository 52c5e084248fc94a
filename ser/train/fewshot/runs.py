"""Runs of few-shot experiments: which are missing, their source models, trained once, and learning from the shots."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ser.errors import SerError
from ser.metadata.folds.fold import Fold
from ser.progress import progress
from ser.results.records import record
from ser.results.records.names import amount_name, amount_of, amount_value
from ser.train.fewshot.job import Job, Source
from ser.train.fewshot.shots import NOTHING
from ser.train.fewshot.task import method
from ser.train.fewshot.unit import learn, train_source
from ser.train.loop.config import Config
from ser.train.loop.data import Resident
from ser.train.runs import executor
from ser.train.runs.divergence import refuse
from ser.train.runs.job import Run
from ser.train.runs.recipe import stack_of

Done = dict[str, list[Run]]


def run_all(
    job: Job,
    folds: Sequence[Fold],
    folders: dict[str, Path],
    runs: Sequence[int],
    jobs: int | None,
    stack: int | None,
    quiet: bool,
) -> Done:
    """All runs of each method, those recorded before too; each is recorded as its fold is finished.

    Args:
        folders: of the runs' records, by method.
        jobs, stack: workers, and runs trained together; None lets the executor choose.

    Raises:
        TrainingError: runs diverged; all others are trained and recorded before.
    """
    done, missing = _earlier(job, folds, folders, runs)
    needed = sorted({k for lacking in missing.values() for _, k in lacking})
    rows = [len(f.train) for f in ([job.first] if job.first else []) + list(folds)]
    stacks = executor.groups(needed, stack_of(job.config, job.data, len(runs), job.device, stack, rows))
    one = 1 if _is_short(job, folds, len(needed)) else jobs
    label = next(iter(job.names.values()))[0]
    sources = _sources(job, stacks, missing, one, label, quiet)
    errors = [e for source in sources if source is not None for e in source.errors]
    work = []
    for fold in folds:
        for stack_runs, source in zip(stacks, sources, strict=True):
            group = stack_runs if source is None else source.runs
            alone = [k for k in stack_runs if k not in group]  # their source diverged
            for runs_of, begun, names in (
                (group, source, list(missing)),
                (alone, None, [m for m in missing if not method(m).FROM_SOURCE]),
            ):
                methods = [m for m in names if any((fold.name, k) in missing[m] for k in runs_of)]
                work += [(job, fold, runs_of, begun, methods)] if methods else []
    results = executor.run_units(learn, work, executor.workers(one, len(work), job.device))
    for finished in progress(results, len(work), label, "stack", quiet):
        for name, described in finished:
            sound = [r for r in described if not isinstance(r, SerError)]
            for row, predictions in sound:
                record.write_run(folders[name], row, predictions)
            done[name] += sound
            errors += [e for e in described if isinstance(e, SerError)]
    refuse(errors, sum(map(len, done.values())), list(folders.values()))
    return {name: _once(found, folds) for name, found in done.items()}


def _earlier(
    job: Job, folds: Sequence[Fold], folders: dict[str, Path], runs: Sequence[int]
) -> tuple[Done, dict[str, set[tuple[str, int]]]]:
    """Runs that were recorded before, and by method the fold and number of those with an amount missing."""
    done: Done = {name: [] for name in folders}
    missing: dict[str, set[tuple[str, int]]] = {name: set() for name in folders}
    for name, folder in folders.items():
        wanted = [*([NOTHING] if job.first and method(name).FROM_SOURCE else []), *job.amounts]
        for fold in folds:
            for k in runs:
                read = partial(record.read_run, folder, k, fold.name, config_hash=job.names[name][1])
                found = [r for r in (read(**a.facts) for a in wanted) if r is not None]
                if len(found) == len(wanted):
                    done[name] += found
                else:
                    missing[name].add((fold.name, k))
    return done, missing


def _sources(
    job: Job,
    stacks: list[list[int]],
    missing: dict[str, set[tuple[str, int]]],
    jobs: int | None,
    label: str,
    quiet: bool,
) -> list[Source | None]:
    """Source models of each stack of runs; None where no method that is missing for them needs one."""
    found: list[Source | None] = [None] * len(stacks)
    if job.first is None:
        return found
    from_source = {k for name, lacking in missing.items() if method(name).FROM_SOURCE for _, k in lacking}
    which = [i for i, group in enumerate(stacks) if from_source & set(group)]
    units = [(job, stacks[i]) for i in which]
    results = executor.run_units(train_source, units, executor.workers(jobs, len(units), job.device))
    for i, source in zip(which, progress(results, len(units), f"{label}: source", "stack", quiet), strict=True):
        found[i] = source
    return found


def _is_short(job: Job, folds: Sequence[Fold], runs: int) -> bool:
    """Whether this process will have done all before workers would have begun."""
    if not isinstance(job.config, Config) or job.config.context != "utterance":
        return False
    inputs, classes = Resident(job.data.blocks).inputs, len(job.data.classes)
    total = 0.0 if job.first is None else executor.seconds(job.config, inputs, classes, len(job.first.train), runs)
    for name in job.names:
        recipe = job.tuning if job.first and method(name).FROM_SOURCE else job.fresh
        if not method(name).READS_EMBEDDING and isinstance(recipe, Config):
            for amount in job.amounts:
                sizes = [classes * amount.of(max(1, len(f.train) // classes)) for f in folds]
                total += sum(executor.seconds(recipe, inputs, classes, n, runs) for n in sizes)
        if total > executor.SHORT:
            return False
    return True


def _once(found: list[Run], folds: Sequence[Fold]) -> list[Run]:
    """Each run once, in the order of amounts, runs and folds."""
    order = {f.name: n for n, f in enumerate(folds)}
    by_key = {(amount_value(amount_name(**amount_of(r))), r["run"], order[r["fold"]]): (r, p) for r, p in found}
    return [by_key[key] for key in sorted(by_key)]

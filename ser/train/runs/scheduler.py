"""Training of experiments: the runs that are missing, over worker processes, and their records as they finish."""

import re
import sys
from collections.abc import Callable, Container, Generator, Iterator, Sequence
from contextlib import closing
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

import torch

from ser.errors import PartDone, SerError, TrainingError
from ser.metadata.folds.fold import Fold
from ser.progress import progress
from ser.results.stored.runs import read_run, write_run
from ser.train.checkpoint import head_facts
from ser.train.classical.classifier import Classical
from ser.train.runs.costs import is_short, shared_out
from ser.train.runs.divergence import refuse
from ser.train.runs.experiment import Experiment
from ser.train.runs.halving import Beaten
from ser.train.runs.job import Job, Run, Unit, end_handover, first_of, owner_of
from ser.train.runs.options import FitOptions
from ser.train.runs.plan import engine_of, groups, stack_of, trained_along, trained_once
from ser.train.runs.worker import guarded, train_unit
from ser.workers.engine import CLUSTERS, Engine, as_finished, parse_shard, part_of
from ser.workers.threads import keep_memory

T = TypeVar("T")
Place: TypeAlias = tuple[int, str, int]  # the id of a job, the first fold of those that share their training, a run


def train_all(experiments: Sequence[Experiment], options: FitOptions, label: str, *, keep_going: bool = False) -> None:
    """Train all missing runs of some experiments together; each then has its `done`.

    Args:
        options: `jobs`, `backend`, `address`, `shard`, `stack` and `quiet` are used.
        label: of the progress.
        keep_going: an experiment that cannot be trained gets its `error`, and the others are trained.

    Raises:
        TrainingError: runs diverged; all others are trained and recorded before.
        PartDone: the runs of this part of the work are recorded.
    """
    places = [place for e in experiments for group in trained_once(e.folds) for place in _places(e.job, group, e.runs)]
    mine = None if options.shard is None else set(part_of(places, parse_shard(options.shard)))
    units: list[Unit] = []
    for experiment in experiments:
        try:
            experiment.done, lacking = plan(experiment.job, experiment.folds, experiment.runs, options.stack, mine)
            units += lacking
        except SerError as error:
            if not keep_going:
                raise
            experiment.error = error
            if experiment.job.rungs is not None:
                for fold in experiment.folds:
                    experiment.job.rungs.close(experiment.runs, fold.name)
    if not units and mine is None and not options.quiet and any(e.done for e in experiments):
        print(f"{label}: all runs are there already, and nothing is trained", file=sys.stderr)
    units = trained_along(units)
    sklearn = any(isinstance(unit.job.recipe, Classical) for unit in units)
    engine = engine_of(options, len(units), units[0].job.device if units else "cpu", is_short(units), sklearn)
    order = {_place(unit): k for k, unit in enumerate(units)}
    units = shared_out(units, engine.jobs)
    owner = {experiment.job.folder: experiment for experiment in experiments}
    errors: list[tuple[int, SerError]] = []
    for unit, finished, diverged in train(units, engine, label, options.quiet, keep_going):
        experiment = owner[unit.job.folder]
        for run in finished:
            owner[owner_of(unit.job, run).folder].done.append(run)
        for own in diverged:
            if experiment.error is None or isinstance(experiment.error, Beaten):
                experiment.error = own
        whose = "" if len(experiments) == 1 else f"{experiment.name}: "
        errors += [(order[_place(unit)], TrainingError(whose + error.problem)) for error in diverged]
    if not keep_going:
        refuse(
            [error for _, error in sorted(errors, key=itemgetter(0))],
            sum(len(e.done) for e in experiments),
            [e.job.folder for e in experiments],
        )
    part_done(options.shard, label)
    for experiment in experiments:
        experiment.sort()
    recorded = max((_recorded(e) for e in experiments), default=0)
    asked = max((len(e.runs) for e in experiments), default=0)
    if recorded > asked and not options.quiet:
        print(f"{label}: of {recorded} recorded runs {asked} are taken; all of them by --runs {recorded}", file=sys.stderr)


def _recorded(experiment: Experiment) -> int:
    """The number of runs up to the last one that was ever recorded."""
    found = (re.match(r"run-(\d+)\.", path.name) for path in experiment.job.folder.glob("run-*.json"))
    return max((int(name[1]) + 1 for name in found if name), default=0)


def part_done(shard: str | None, label: str) -> None:
    """End a command that was to do a part, by `PartDone`."""
    if shard is not None:
        number, count = parse_shard(shard)
        raise PartDone(
            f"{label}: part {number}/{count} is recorded. When all parts are (0/{count} to {count - 1}/{count}), the same "
            "command without --shard goes on from them."
        )


def _place(unit: Unit) -> Place:
    return id(unit.job), unit.folds[0].name, unit.runs[0]


def _places(job: Job, group: Sequence[Fold], runs: Sequence[int]) -> list[Place]:
    return [(id(job), group[0].name, k) for k in runs]


def plan(
    job: Job, folds: Sequence[Fold], runs: Sequence[int], stack: int | None, mine: Container[Place] | None = None
) -> tuple[list[Run], list[Unit]]:
    """The runs that were recorded before, and units of work for those that are missing.

    Args:
        mine: the places of the runs that this part of the work has; None: all.
    """
    done: list[Run] = []
    units: list[Unit] = []
    together = trained_once(folds)
    size = stack_of(job.recipe, job.data, len(runs), job.device, stack, [len(first_of(g[0]).train) for g in together])
    for group in together:
        missing = []
        for place in _places(job, group, runs):
            if mine is not None and place not in mine:
                continue
            k = place[-1]
            found = [run for fold in group if (run := _earlier(job, k, fold)) is not None]
            done += found if len(found) == len(group) else []
            missing += [] if len(found) == len(group) or _left(job, k, group[0]) else [k]
        units += [Unit(job, group, g) for g in groups(missing, size)]
    return done, units


def _left(job: Job, run: int, fold: Fold) -> bool:
    """True if the run left early in this search."""
    found = None if job.rungs is None else job.rungs.at(run, fold.name)
    return found is not None and found.left is not None


def _earlier(job: Job, number: int, fold: Fold) -> Run | None:
    """A run that was recorded before, with its head where heads are saved, and its curve where that is judged."""
    found = read_run(job.folder, number, fold.name, config_hash=job.config_hash)
    if found is None or (job.save and not _has_head(job, number, fold)):
        return None
    return None if job.rungs is not None and job.rungs.of_record(found[0]) is None else Run(*found)


def _has_head(job: Job, run: int, fold: Fold) -> bool:
    """True if a run's saved head is there and of this configuration."""
    path = job.head_file(run, fold)
    try:
        return path.exists() and head_facts(path).config_hash == job.config_hash
    except SerError:  # damaged, or of another version: it is trained and written again
        return False


def train(
    units: Sequence[Unit], engine: Engine, label: str, quiet: bool, keep_going: bool = False
) -> Iterator[tuple[Unit, list[Run], list[SerError]]]:
    """Train units, of one job or of several, and record their runs as they finish.

    Args:
        keep_going: where a unit cannot be trained at all, yield its error, and go on with the others.

    Yields:
        Each unit as it finishes, the runs that were finished, and the errors of those that diverged.
    """
    with closing(run_units(guarded if keep_going else train_unit, units, engine)) as results:
        for k, finished in progress(results, len(units), label, "job", quiet):
            unit = units[k]
            runs = [r for r in finished if not isinstance(r, SerError)]
            for run in runs:
                write_run(owner_of(unit.job, run).folder, run.record, run.predictions)
            end_handover(unit)
            yield unit, runs, [r for r in finished if isinstance(r, SerError)]


def run_units(
    function: Callable[..., T], units: Sequence[tuple[Any, ...]], engine: Engine, what: str = "training"
) -> Generator[tuple[int, T], None, None]:
    """Yield the position of each unit and the result of `function(*unit)`, as they finish.

    Workers have one intra-op thread each: two per worker lose more than they win as soon as anything else runs on the
    machine. They are processes, unless the user asks for threads; large arrays reach processes as memory maps. Threads wait
    for each other, as stacks of small heads are half Python.

    Args:
        what: named in errors.
    """
    before = torch.get_num_threads()
    calls = ((function, unit) for unit in units)
    try:
        if not units or (engine.backend not in CLUSTERS and (engine.jobs == 1 or len(units) == 1)):
            # One thread here too: sums over two differ in the last bit, and a run must not depend on the others.
            yield from ((k, _single_threaded(*call)) for k, call in enumerate(calls))
        else:
            yield from as_finished(_single_threaded, calls, engine, what)
    finally:
        torch.set_num_threads(before)


def _single_threaded(function: Callable[..., T], unit: tuple[Any, ...]) -> T:
    torch.set_num_threads(1)
    keep_memory()
    return function(*unit)

"""Training of few-shot experiments: the runs that are missing, their source models, and learning from the shots."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from ser.errors import SerError
from ser.progress import progress
from ser.results.stored.runs import read_run, write_run
from ser.train.classical.classifier import Classical
from ser.train.fewshot.job import FewshotJob, Learning, SourceModels
from ser.train.fewshot.methods._base import method
from ser.train.fewshot.shots import NOTHING
from ser.train.fewshot.worker import learn, train_source
from ser.train.loop.config import Config
from ser.train.loop.data import inputs_of
from ser.train.loop.pooled_frames import read_inputs
from ser.train.runs import costs, plan, scheduler
from ser.train.runs.divergence import refuse
from ser.train.runs.experiment import Experiment
from ser.train.runs.job import Run, Unit, end_handover
from ser.train.runs.options import FitOptions
from ser.workers.engine import Engine, parse_shard, part_of

Missing: TypeAlias = dict[str, set[tuple[str, int]]]  # by method, fold and number of runs that lack an amount


def train_methods(job: FewshotJob, experiments: Mapping[str, Experiment], options: FitOptions, label: str) -> None:
    """Train all missing runs of some methods; each experiment then has its `done`. A run is recorded as its fold is finished.

    Args:
        experiments: by method.
        options: `jobs`, `backend`, `address`, `shard`, `stack` and `quiet` are used.
        label: of the progress.

    Raises:
        TrainingError: runs diverged; all others are trained and recorded before.
        PartDone: the runs of this part of the work are recorded.
    """
    common, folds, runs = job.common, next(iter(experiments.values())).folds, range(options.runs)
    missing = _missing(job, experiments)
    if options.shard is not None:
        mine = part_of([(fold.name, k) for k in runs for fold in folds], parse_shard(options.shard))
        missing = {name: lacking.intersection(mine) for name, lacking in missing.items()}
    needed = sorted({k for lacking in missing.values() for _, k in lacking})
    rows = [len(f.train) for f in ([job.first] if job.first else []) + folds]
    size = plan.stack_of(common.recipe, common.data, len(runs), common.device, options.stack, rows)
    stacks = plan.groups(needed, size)
    short = _is_short(job, experiments, len(needed))
    engine = partial(plan.engine_of, options, device=common.device, short=short)
    classical = isinstance(common.recipe, Classical)
    sources = _sources(job, stacks, missing, partial(engine, sklearn=classical), label, options.quiet)
    errors = [e for source in sources if source is not None for e in source.errors]
    units: list[Learning] = []
    for fold in folds:
        for stack, source in zip(stacks, sources, strict=True):
            group = stack if source is None else source.runs
            alone = [k for k in stack if k not in group]  # their source diverged
            for runs_of, begun, names in (
                (group, source, list(missing)),
                (alone, None, [m for m in missing if not method(m).FROM_SOURCE]),
            ):
                amounts = [*([] if begun is None else [NOTHING]), *job.shots.amounts]
                methods = [m for m in names if any((fold.name, k) in missing[m] for k in runs_of)]
                units += [Learning(job, fold, runs_of, begun, methods, amounts)] if methods else []
    apart = [unit._replace(amounts=[amount]) for unit in units for amount in unit.amounts]
    sklearn = classical or any(getattr(method(name), "SKLEARN", False) for name in missing)
    # Five runs of four amounts are twenty units, which workers share more evenly than five.
    if size == 1 and engine(len(apart), sklearn=sklearn).jobs > 1:
        units = sorted(apart, key=lambda unit: unit.amounts[0].of(len(unit.fold.train)), reverse=True)
    results = scheduler.run_units(learn, units, engine(len(units), sklearn=sklearn))
    for _, finished in progress(results, len(units), label, "job", options.quiet):
        for name, described in finished:
            sound = [r for r in described if not isinstance(r, SerError)]
            for run in sound:
                write_run(job.jobs[name].folder, run.record, run.predictions)
            experiments[name].done += sound
            errors += [e for e in described if isinstance(e, SerError)]
    refuse(errors, sum(len(e.done) for e in experiments.values()), [j.folder for j in job.jobs.values()])
    scheduler.part_done(options.shard, label)
    for experiment in experiments.values():
        experiment.sort()


def _missing(job: FewshotJob, experiments: Mapping[str, Experiment]) -> Missing:
    """The runs that lack an amount; those that were recorded whole are put into `done`."""
    missing: Missing = {name: set() for name in experiments}
    for name, experiment in experiments.items():
        wanted = [*([NOTHING] if job.first and method(name).FROM_SOURCE else []), *job.shots.amounts]
        for fold in experiment.folds:
            for k in experiment.runs:
                read = partial(read_run, experiment.job.folder, k, fold.name, config_hash=experiment.job.config_hash)
                found = [Run(*r) for r in (read(**a.facts) for a in wanted) if r is not None]
                if len(found) == len(wanted):
                    experiment.done += found
                else:
                    missing[name].add((fold.name, k))
    return missing


def _sources(
    job: FewshotJob, stacks: list[list[int]], missing: Missing, engine: Callable[[int], Engine], label: str, quiet: bool
) -> list[SourceModels | None]:
    """Train the source models of each stack of runs; None where no missing run of it needs one.

    Args:
        engine: of a number of units.
    """
    found: list[SourceModels | None] = [None] * len(stacks)
    if job.first is None:
        return found
    from_source = {k for name, lacking in missing.items() if method(name).FROM_SOURCE for _, k in lacking}
    which = [i for i, group in enumerate(stacks) if from_source & set(group)]
    processes = engine(len(which))
    units = costs.shared_out([Unit(job.common, [job.first], stacks[i]) for i in which], processes.jobs)
    results = scheduler.run_units(train_source, [(job, unit.runs, unit.handover) for unit in units], processes)
    for k, source in progress(results, len(units), f"{label}: source", "job", quiet):
        if source is not None:  # it is of the first half of a run
            found[stacks.index(units[k].runs)] = source
        end_handover(units[k])
    return found


def _is_short(job: FewshotJob, experiments: Mapping[str, Experiment], runs: int) -> bool:
    """True if this process would do all in less time than workers need to start."""
    common, recipe = job.common, job.common.recipe
    if not isinstance(recipe, Config) or recipe.context != "utterance":
        return False
    inputs, classes = read_inputs(recipe, inputs_of(common.data.blocks)), len(common.classes)
    most = costs.least_work()
    total = 0.0 if job.first is None else costs.seconds(recipe, inputs, classes, len(job.first.train), runs)
    for name, experiment in experiments.items():
        recipe = job.shots.tuning if job.first and method(name).FROM_SOURCE else job.shots.fresh
        if not method(name).READS_EMBEDDING and isinstance(recipe, Config):
            for amount in job.shots.amounts:
                sizes = [classes * amount.of(max(1, len(f.train) // classes)) for f in experiment.folds]
                total += sum(costs.seconds(recipe, inputs, classes, n, runs) for n in sizes)
        if total > most:
            return False
    return True

"""Decisions before training: stacks of runs, the device, the number of workers. Nothing is done here."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ser.accelerator import ALL_GPUS, gpus, pick_device
from ser.errors import ConfigError
from ser.features.tensors import Tensors
from ser.metadata.folds.fold import Fold
from ser.train.classical.classifier import Classical
from ser.train.classical.learner import refuse_views, refuse_words
from ser.train.loop.config import Config
from ser.train.loop.dialogues import resident_of
from ser.train.loop.pooled_frames import read_inputs
from ser.train.nn.layers import Input
from ser.train.runs.costs import least_work, seconds, size_of
from ser.train.runs.job import Along, Unit, first_of
from ser.train.runs.options import FitOptions
from ser.train.runs.recipe import Recipe
from ser.workers.engine import CLUSTERS, LOCAL, THREADS, Engine
from ser.workers.threads import cores

# On a CPU stacking wins while a stack's parameters and their optimiser state stay in cache.
STACKED_PARAMETERS = 300_000
LARGEST_STACK = 64


def device_of(recipe: Recipe, device: str) -> str:
    """The device to train on; a ConfigError where it cannot be used. Classifiers of scikit-learn are fitted on the CPU."""
    if not isinstance(recipe, Classical):
        return pick_device(device, every=True)
    if device not in ("auto", "cpu"):
        raise ConfigError(f"--device {device} means nothing to head {recipe.head}", expected="auto or cpu")
    return "cpu"


def trained_once(folds: Sequence[Fold]) -> list[list[Fold]]:
    """Folds in groups that share their first training: those with the same stream of it."""
    groups: dict[tuple[str, str], list[Fold]] = {}
    for fold in folds:
        first = first_of(fold)
        alike = first.stream and first.unlabelled is None  # of each fold, other rows are unlabelled
        key = ("stream", first.stream) if alike else ("fold", fold.name)
        groups.setdefault(key, []).append(fold)
    return list(groups.values())


def begins_with(tuned: Unit, plain: Unit) -> bool:
    """True if the first training of one unit is all of another's: the same recipe, data, rows and random streams."""
    a, b = tuned.job, plain.job
    first, own = tuned.folds[0].before, plain.folds[0]
    if a.tuning is None or b.tuning is not None or first is None or not own.stream or own.unlabelled is not None:
        return False
    if a.data is not b.data or first.stream != own.stream:  # every unit is compared with every other
        return False
    recipes = [(job.recipe, job.seed, job.device, job.normalize, job.limit, job.balance) for job in (a, b)]
    rows = [np.concatenate([fold.train, [-1], fold.validation]) for fold in (first, own)]
    alike = recipes[0] == recipes[1] and np.array_equal(rows[0], rows[1])
    return alike and a.rungs is None and b.rungs is None and not b.refits(own)


def trained_along(units: Sequence[Unit]) -> list[Unit]:
    """The units, without the runs whose training is the first of another unit's: that one's job has them (`Along`)."""
    found: list[Unit] = []
    once: dict[tuple[int, str, int], Unit] = {}  # a run that is trained by another unit -> its own
    for tuned in units:
        plain = [unit for unit in units if begins_with(tuned, unit)]
        runs = frozenset(tuned.runs) & {run for unit in plain for run in unit.runs}
        keys = {(id(unit.job), unit.folds[0].name, run): unit for unit in plain for run in runs & frozenset(unit.runs)}
        if runs and not keys.keys() & once.keys():
            once |= keys
            tuned = tuned._replace(job=replace(tuned.job, along=Along(plain[0].job, plain[0].folds, runs)))
        found.append(tuned)
    left = [
        unit._replace(runs=[run for run in unit.runs if (id(unit.job), unit.folds[0].name, run) not in once]) for unit in found
    ]
    return [unit for unit in left if unit.runs]


def stack_of(recipe: Recipe, data: Tensors, runs: int, device: str, stack: int | None, rows: Sequence[int]) -> int:
    """The number of runs to train together.

    Args:
        runs: their number.
        stack: the user's choice; None chooses by size.
        rows: the number of utterances in each fold's training part.

    Raises:
        ConfigError: `stack`, word ids or views with a classical head, or a stack of a head that trains one run at a time.
    """
    if isinstance(recipe, Classical):
        if stack is not None:
            raise ConfigError(f"--stack means nothing to head {recipe.head}", option="stack")
        refuse_words(data.blocks, recipe.head)
        refuse_views(data, recipe.head)
        return 1 if recipe.random else runs
    inputs = read_inputs(recipe, resident_of(data, data.blocks, recipe).inputs)
    return stack_size(recipe, inputs, len(data.classes), runs, device, rows=max(rows), folds=len(rows), asked=stack)


def stack_size(
    config: Config,
    inputs: Sequence[Input],
    classes: int,
    runs: int,
    device: str,
    *,
    rows: int = 0,
    folds: int = 1,
    asked: int | None = None,
) -> int:
    """The number of runs to train together: many where the head is small or the device a GPU, one where it cannot be stacked.

    Framewise features are trained one run at a time: the padding of a batch, and with it the draws of dropout, would depend
    on the neighbours; frames that are pooled before training are none (`ser.train.loop.pooled_frames`). Every core, or every
    GPU, gets something to do: 20 runs on two are two stacks of 10.

    Args:
        rows: utterances of the training part; short work is not split over cores.
        folds: the number of folds on which each run is trained.
        asked: the user's choice.

    Raises:
        ConfigError: the user chose a stack where there can be none.
    """
    numbers, stackable = size_of(config, inputs, classes)
    single = None if stackable else "its layers have no leading run dimension"
    single = "its features are framewise" if any(i.framewise for i in inputs) else single
    if single and asked and asked > 1:
        raise ConfigError(f"--stack {asked}: head {config.head} trains one run at a time, as {single}", option="stack")
    if single or asked:
        return asked or 1
    if device == "cpu":
        if numbers > STACKED_PARAMETERS:
            return 1
        if folds * seconds(config, inputs, classes, rows, runs) > least_work():
            runs = min(runs, -(-runs * folds // workers(None, runs * folds, device)))
    elif device == ALL_GPUS:
        runs = min(runs, -(-runs * folds // len(gpus())))
    return min(runs, LARGEST_STACK)


def groups(runs: Sequence[int], size: int) -> list[list[int]]:
    """Runs in stacks of at most `size`.

    >>> groups([0, 1, 2, 3, 4], 2)
    [[0, 1], [2, 3], [4]]
    """
    return [list(runs[k : k + size]) for k in range(0, len(runs), size)]


def workers(jobs: int | None, units: int, device: str) -> int:
    """The number of workers on this machine: one for each core, or for each GPU that does the work; never more than units."""
    if device == "cpu":
        return max(1, min(jobs or cores(), units))
    there = len(gpus()) if device == ALL_GPUS else 1
    return max(1, min(jobs or there, there, units))


def engine_of(options: FitOptions, units: int, device: str, short: bool, sklearn: bool = False) -> Engine:
    """The workers to train units in.

    Args:
        short: this process would train all in less time than processes need to start.
        sklearn: scikit-learn fits in them. Threads would share its filters of warnings, which pandas sets too, so that notes
            would be of another fit or get lost, and the generator of libsvm and liblinear: they are done one after another.
    """
    if options.backend in CLUSTERS:
        return Engine(backend=options.backend, address=options.address, workspace=options.workspace.root)
    alone = {LOCAL: short, THREADS: sklearn}[options.backend]
    return Engine(1 if alone else workers(options.jobs, units, device), options.backend)

"""Costs of units of work, and the order in which workers take them, so that all end together."""

import heapq
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from ser.train.heads._base import build_head, is_stackable, part_of
from ser.train.loop.config import Config
from ser.train.loop.data import inputs_of
from ser.train.loop.handover import can_be_handed_over
from ser.train.loop.pooled_frames import read_inputs
from ser.train.nn.layers import Input
from ser.train.runs.job import Unit, first_of, handover_of
from ser.train.runs.recipe import Recipe
from ser.workers.processes import can_copy

# Seconds of work for which new processes, which take four to start, and copies of this one do not pay on two cores.
NEW, COPIES = 8.0, 2.0
HALVED = 3.0  # seconds of a run from which it may be halved
GAIN = 0.05  # of the time, for which runs are halved


def size_of(config: Config, inputs: Sequence[Input], classes: int) -> tuple[int, bool]:
    """The numbers of a head's weights, and true if several runs of it can be trained together."""
    return _size(part_of(config.head), tuple(inputs), classes, tuple(sorted(config.head_options.items())))


@lru_cache(maxsize=64)
def _size(part: str, inputs: tuple[Input, ...], classes: int, options: tuple[tuple[str, Any], ...]) -> tuple[int, bool]:
    head = build_head(part, list(inputs), classes, dict(options), 0)
    return sum(p.numel() for p in head.parameters()), is_stackable(head)


def seconds(config: Config, inputs: Sequence[Input], classes: int, rows: int, runs: int) -> float:
    """Estimate the seconds that training a stack of a head takes on one core; infinite where features are framewise.

    A step costs its calls, the matrix products of its parameters at 60 GFLOP/s, and AdamW's pass over them at 20 GB/s.
    """
    numbers, stackable = size_of(config, inputs, classes)
    if not stackable or any(i.framewise for i in inputs):
        return math.inf
    utterances = config.batch_size * (1 if config.adapt == "none" else 2)  # of source, and as many of the target
    a_run = numbers * (6 * utterances / 60e9 + 28 / 20e9)
    return config.epochs * -(-rows // config.batch_size) * (1e-3 + runs * a_run)


def cost(unit: Unit) -> float:
    """Estimate the seconds that a unit takes on one core; infinite where they cannot be told."""
    job, (first, *_) = unit.job, unit.folds
    trained = [(job.recipe, first_of(first), len(unit.runs))]
    trained += [(job.tuning or job.recipe, fold, len(unit.runs)) for fold in unit.folds if fold.before]
    if job.refits(first):  # runs differ in their epochs then, and nearly each is trained by itself
        trained += [(job.recipe, first_of(first), 1)] * len(unit.runs)
    total = 0.0
    for recipe, fold, runs in trained:
        if not isinstance(recipe, Config) or recipe.context != "utterance":
            return math.inf
        inputs = read_inputs(recipe, inputs_of(job.data.blocks))
        rows = len(fold.train) * (1 if fold.unlabelled is None else 2)
        total += seconds(recipe, inputs, len(job.classes), rows, runs)
    return total


def is_short(units: Iterable[Unit]) -> bool:
    """True if this process would train all units in less time than workers need to start."""
    total, most = 0.0, least_work()
    for unit in units:
        total += cost(unit)
        if total > most:
            return False
    return True


def least_work() -> float:
    """Seconds of work on one core from which workers pay."""
    return COPIES if can_copy() else NEW


def shared_out(units: Sequence[Unit], jobs: int) -> list[Unit]:
    """The units in the order in which workers take them: long ones first, and one of them in two halves where that pays.

    Five long runs on two workers are three rounds, in the last of which one worker is idle. With one run begun at the start,
    and ended at the end by whoever is free, they are two and a half. A run that was begun before an interrupt is taken over.
    The order of a search with successive halving stays as it is, since who leaves depends on it.

    Args:
        jobs: the number of workers of this machine.
    """
    units = [_taken_over(unit) for unit in units]
    if jobs < 2 or len(units) < 2 or any(unit.job.rungs is not None for unit in units):
        return units
    costs = [cost(unit) for unit in units]
    if math.inf in costs:
        costs = [float(_utterances(unit)) for unit in units]
    order = sorted(range(len(units)), key=costs.__getitem__, reverse=True)
    plain = _ends([costs[k] for k in order], jobs)
    able = list(islice((k for k in order if _can_be_halved(units[k])), jobs // 2))
    for number in range(1, len(able) + 1):
        halved = able[:number]
        whole = [k for k in order if k not in halved]
        halves = [costs[k] / 2 for k in halved]
        if _ends([*halves, *(costs[k] for k in whole), *halves], jobs, number) < (1 - GAIN) * plain:
            begun = [units[k]._replace(handover=handover_of(units[k], _half(units[k]))) for k in halved]
            ended = [units[k]._replace(handover=handover_of(units[k])) for k in halved]
            return begun + [units[k] for k in whole] + ended
    return [units[k] for k in order]


def _ends(costs: Sequence[float], jobs: int, halved: int = 0) -> float:
    """The time at which the last of some workers ends, each of which takes the next unit when it is free.

    Args:
        halved: the number of units whose first halves are the first units, and whose second halves the last ones. Where a
            second half would begin before its first one has ended, the time is infinite: it would be trained whole.

    >>> _ends([1, 1, 1], 2), _ends([0.5, 1, 1, 0.5], 2, 1), _ends([5, 1, 5], 2, 1)
    (2.0, 1.5, inf)
    """
    free = [0.0] * jobs
    begins = [heapq.heapreplace(free, free[0] + one) for one in costs]
    firsts, lasts = range(halved), range(len(costs) - halved, len(costs))
    if any(begins[last] < begins[first] + costs[first] for first, last in zip(firsts, lasts, strict=True)):
        return math.inf
    return max(free)


def _utterances(unit: Unit) -> int:
    """The utterances that a unit is trained on, in all epochs."""
    job, first = unit.job, first_of(unit.folds[0])
    tuned = sum(len(fold.train) * _epochs(job.tuning or job.recipe) for fold in unit.folds if fold.before)
    both = 1 if first.unlabelled is None else 2
    return len(unit.runs) * (both * len(first.train) * _epochs(job.recipe) + tuned)


def _epochs(recipe: Recipe) -> int:
    return recipe.epochs if isinstance(recipe, Config) else 1


def _taken_over(unit: Unit) -> Unit:
    """The unit, which takes over its run where that was begun before."""
    plain = len(unit.runs) == 1 and unit.job.tuning is None and unit.job.rungs is None
    return unit._replace(handover=place) if plain and (place := handover_of(unit)).path.exists() else unit


def _can_be_halved(unit: Unit) -> bool:
    """True if a unit is one long run that one worker can begin and another end."""
    job, recipe, first = unit.job, unit.job.recipe, first_of(unit.folds[0])
    if not isinstance(recipe, Config) or len(unit.runs) > 1 or job.device != "cpu" or unit.handover is not None:
        return False
    if job.tuning is not None or job.along is not None or first.unlabelled is not None:
        return False
    return recipe.epochs > 1 and can_be_handed_over(recipe) and cost(unit) > HALVED


def _half(unit: Unit) -> int:
    """The epoch after half of a unit's work: where the run is trained again on more rows, that is about the second half."""
    return _epochs(unit.job.recipe) // (1 if unit.job.refits(first_of(unit.folds[0])) else 2)

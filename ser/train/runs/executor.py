"""How many runs go together, and where: the one place that decides about stacks, workers and threads."""

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import torch

from ser.errors import ConfigError
from ser.parallel import cores, in_order, keep_memory
from ser.train.heads._base import build, is_stackable, part_of
from ser.train.loop.config import Config
from ser.train.nn.layers import Input
from ser.train.nn.parameters import flatten

T = TypeVar("T")

# On a CPU stacking wins while a stack's parameters and their optimiser state stay in cache.
STACKED_PARAMETERS = 300_000
LARGEST_STACK = 64
SHORT = 8.0  # seconds of work for which starting processes, which takes four, does not pay on two cores


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
    """How many runs to train together: many where the head is small or the device a GPU, one where it cannot be stacked.

    Framewise features are trained one run at a time: the padding of a batch, and with it the draws of dropout, would depend
    on the neighbours. On a CPU every core gets something to do: 20 runs on two are two stacks of 10.

    Args:
        rows: of the training part; short work is not split over cores.
        folds: on which each run is trained.
        asked: by the user, instead.

    Raises:
        ConfigError: a stack is asked for where there can be none.
    """
    head = build(part_of(config.head), list(inputs), classes, dict(config.head_options), 0)
    single = "it is no stack of layers with a leading run dimension" if not is_stackable(head) else None
    single = "its features are framewise" if any(i.framewise for i in inputs) else single
    if single and asked and asked > 1:
        raise ConfigError(f"--stack {asked}: head {config.head} trains one run at a time, as {single}")
    if single or asked:
        return asked or 1
    if device == "cpu":
        if flatten(head).numel() > STACKED_PARAMETERS:
            return 1
        if folds * seconds(config, inputs, classes, rows, runs) > SHORT:
            runs = min(runs, -(-runs * folds // workers(None, runs * folds, device)))
    return min(runs, LARGEST_STACK)


def groups(runs: Sequence[int], size: int) -> list[list[int]]:
    """Runs in stacks of at most `size`.

    >>> groups([0, 1, 2, 3, 4], 2)
    [[0, 1], [2, 3], [4]]
    """
    return [list(runs[k : k + size]) for k in range(0, len(runs), size)]


def pick_device(device: str) -> str:
    """`auto` is the GPU where there is one.

    Raises:
        ConfigError: a GPU is asked for and there is none, or none of that number.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    there = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(kind, 1)
    if there == 0:
        raise ConfigError(f"--device {device}: torch {torch.__version__} finds no GPU", action="Take --device cpu.")
    if number and int(number) >= there:
        raise ConfigError(f"--device {device}", expected=f"a GPU from cuda:0 to cuda:{there - 1}")
    return device


def workers(jobs: int | None, units: int, device: str) -> int:
    """Worker processes to use: one a core, never more than there are units; one where a GPU does the work."""
    if device != "cpu":
        return 1
    return max(1, min(jobs or cores(), units))


def seconds(config: Config, inputs: Sequence[Input], classes: int, rows: int, runs: int) -> float:
    """Roughly what training a stack of a head takes on one core; infinite where features are framewise.

    A step costs its calls, the matrix products of its parameters at 60 GFLOP/s, and AdamW's pass over them at 20 GB/s.
    """
    head = build(part_of(config.head), list(inputs), classes, dict(config.head_options), 0)
    if not is_stackable(head) or any(i.framewise for i in inputs):
        return math.inf
    utterances = config.batch_size * (1 if config.adapt == "none" else 2)  # of source, and as many of the target
    a_run = flatten(head).numel() * (6 * utterances / 60e9 + 28 / 20e9)
    return config.epochs * -(-rows // config.batch_size) * (1e-3 + runs * a_run)


def run_units(function: Callable[..., T], units: Sequence[tuple[Any, ...]], jobs: int) -> Generator[T, None, None]:
    """Results of `function(*unit)` in the order of the units, as they come.

    Workers are processes with one intra-op thread each: two threads a process lose more than they win as soon as
    anything else runs on the machine. Large arrays reach them as memory maps. Threads of
    one process would wait for each other: stacks of small heads are half Python.
    """
    before = torch.get_num_threads()
    calls = ((function, unit) for unit in units)
    try:
        if jobs == 1 or len(units) == 1:
            # One thread here too: sums over two differ in the last bit, and a run must not depend on the others.
            yield from (_single_threaded(*call) for call in calls)
        else:
            yield from in_order(_single_threaded, calls, jobs, "training", pre_dispatch="2*n_jobs")
    finally:
        torch.set_num_threads(before)


def _single_threaded(function: Callable[..., T], unit: tuple[Any, ...]) -> T:
    torch.set_num_threads(1)
    keep_memory()
    return function(*unit)

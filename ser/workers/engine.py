"""The door to workers: units of work over processes or threads of this machine, or a cluster, and results as they finish."""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ser.accelerator import ALL_GPUS
from ser.errors import ConfigError
from ser.outside import VARIABLE, call
from ser.workers import processes, thread_pool
from ser.workers.threads import cores

if TYPE_CHECKING:
    from ser.workers.cluster import Cluster

T = TypeVar("T")
LOCAL, THREADS, CLUSTERS = "loky", "threads", ("dask", "ray")
BACKENDS = (LOCAL, THREADS, *CLUSTERS)
MOST_JOBS = 256  # workers, on a machine with few cores


@dataclass(frozen=True)
class Engine:
    """The workers that work is spread over.

    Attributes:
        jobs: the number of workers on this machine; a cluster has its own.
        backend: `loky`, processes of this machine; `threads` of this process; or one of `CLUSTERS`.
        address: of the cluster; None reads it from the environment.
        workspace: the folder that all machines of a cluster see under the same path.
    """

    jobs: int = 1
    backend: str = LOCAL
    address: str | None = None
    workspace: Path = Path()


def refuse_contradictions(jobs: int | None, backend: str, address: str | None, device: str) -> None:
    """Refuse options that contradict each other.

    Raises:
        ConfigError: an address for workers of this machine, or a number of these for a cluster, or too many of them; all
            GPUs for anything but processes of this machine.
    """
    check_jobs(jobs)
    if backend != LOCAL:
        refuse_all_gpus(device, backend)
    if backend not in CLUSTERS and address is not None:
        raise ConfigError(
            f"--address {address} means nothing to --backend {backend}",
            expected=f"--backend {' or '.join(CLUSTERS)}",
            option="address",
        )
    if backend in CLUSTERS and jobs is not None:
        raise ConfigError(
            f"--jobs {jobs} means nothing to --backend {backend}, which has the workers that it has",
            action="Leave --jobs out.",
            option="jobs",
        )


def check_jobs(jobs: int | None) -> None:
    """Refuse more workers than any machine has a use for, which would fill the memory of this one.

    Raises:
        ConfigError: they are more than `MOST_JOBS`, and more than eight for each core.
    """
    if jobs is None or jobs <= MOST_JOBS or jobs <= 8 * cores():
        return
    raise ConfigError(
        f"--jobs {jobs} is too many for {cores()} cores",
        expected=f"{max(MOST_JOBS, 8 * cores())} at most",
        action="Leave it out: the default suits the machine.",
        option="jobs",
    )


def refuse_all_gpus(device: str, backend: str) -> None:
    """Refuse all GPUs of this machine for a backend that does not start a process for each of them.

    Raises:
        ConfigError: they are asked for.
    """
    if device == ALL_GPUS:
        raise ConfigError(
            f"--device {ALL_GPUS} starts a process for each GPU of this machine",
            expected="--device cuda, for one GPU in each worker, or no --backend",
            found=f"--backend {backend}",
            option="device",
        )


def part_of(things: Sequence[T], shard: tuple[int, int]) -> Sequence[T]:
    """Those of part I of N, which are neighbours; it depends on nothing but the things' order.

    >>> [part_of(range(7), (number, 3)) for number in range(3)]
    [range(0, 2), range(2, 4), range(4, 7)]
    """
    number, count = shard
    return things[number * len(things) // count : (number + 1) * len(things) // count]


def parse_shard(text: str) -> tuple[int, int]:
    """Part I of N, from `I/N`.

    Raises:
        ValueError: it is anything else.
    """
    number, _, count = text.partition("/")
    if not 0 <= int(number) < int(count):
        raise ValueError(text)
    return int(number), int(count)


def as_finished(
    function: Callable[..., T], units: Iterable[tuple[Any, ...]], engine: Engine, what: str
) -> Generator[tuple[int, T], None, None]:
    """Each unit's position and the result of `function(*unit)`, as they finish.

    Args:
        what: named in errors.

    Raises:
        SerError: worker processes of this machine were killed time and again; the cluster cannot be used, or was lost.
    """
    if engine.backend == LOCAL:
        return processes.as_finished(function, units, engine.jobs, what)
    if engine.backend == THREADS:
        return thread_pool.finished(function, units, engine.jobs)
    from ser.workers.cluster import spread

    trusted = os.environ.get(VARIABLE, "")
    calls = ((trusted, function, *unit) for unit in units)
    return spread(_cluster(engine.backend), engine.address, call, calls, engine.workspace, what)


def _cluster(backend: str) -> "type[Cluster]":
    """The kind of cluster, whose package is needed only when it is used."""
    from ser.workers.dask import Dask
    from ser.workers.ray import Ray

    return {"dask": Dask, "ray": Ray}[backend]

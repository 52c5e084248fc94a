"""Work spread over processes that end with their parent, or over a cluster; the number of cores."""

import ctypes
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from ser.errors import SerError
from ser.outside import VARIABLE, call

T = TypeVar("T")
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
STOPS = ("SIGINT", "SIGTERM", "SIGHUP")  # the signals that end a command; SIGHUP does not exist everywhere
PARENT_SECONDS = 1.0  # between two looks at the parent


@dataclass(frozen=True)
class Engine:
    """The processes that work is spread over.

    Attributes:
        jobs: the number of worker processes on this machine; a cluster has its own.
        backend: `loky`, processes of this machine, or one of `ser.clusters.BACKENDS`.
        address: of the cluster; None reads it from the environment.
        workspace: the folder that all machines of a cluster see under the same path.
    """

    jobs: int = 1
    backend: str = "loky"
    address: str | None = None
    workspace: Path = Path()


def cores() -> int:
    """Processor cores that this process may use: affinity and a container's share are counted."""
    from joblib import cpu_count

    return int(cpu_count())


def as_finished(
    function: Callable[..., T], units: Iterable[tuple[Any, ...]], engine: Engine, what: str
) -> Generator[tuple[int, T], None, None]:
    """Each unit's position and the result of `function(*unit)`, as they finish.

    Args:
        what: named in errors.

    Raises:
        SerError: a worker process of this machine was killed; the cluster cannot be used, or was lost.
    """
    if engine.backend != "loky":
        from ser.clusters import spread

        trusted = os.environ.get(VARIABLE, "")
        return spread(call, ((trusted, function, *unit) for unit in units), engine, what)
    calls = ((function, k, unit) for k, unit in enumerate(units))
    return _from_processes(_numbered, calls, engine.jobs, what, "generator_unordered", {"pre_dispatch": "2*n_jobs"})


def _numbered(function: Callable[..., T], number: int, unit: tuple[Any, ...]) -> tuple[int, T]:
    return number, function(*unit)


def in_order(
    function: Callable[..., T], units: Iterable[tuple[Any, ...]], jobs: int, what: str, **options: Any
) -> Generator[T, None, None]:
    """Results of `function(*unit)` in the order of the units, as they come, from `jobs` worker processes of this machine.

    Args:
        what: named in the error.
        options: of `joblib.Parallel`.

    Raises:
        SerError: a worker process was killed.
    """
    return _from_processes(function, units, jobs, what, "generator", options)


def _from_processes(
    function: Callable[..., T],
    units: Iterable[tuple[Any, ...]],
    jobs: int,
    what: str,
    return_as: str,
    options: dict[str, Any],
) -> Generator[T, None, None]:
    """Results from worker processes of this machine.

    Each worker has one intra-op thread: two OpenMP teams on the same cores cost several times the processor time.
    """
    from concurrent.futures.process import BrokenProcessPool

    from joblib import Parallel, delayed, parallel_config

    trusted = os.environ.get(VARIABLE, "")
    tied = {"initializer": end_with_parent, "initargs": (os.getpid(),)}
    with parallel_config("loky", inner_max_num_threads=1, **tied), signals_blocked():
        calls = (delayed(call)(trusted, function, *unit) for unit in units)
        results = Parallel(n_jobs=jobs, return_as=return_as, **options)(calls)
    try:
        for result in results:  # noqa: UP028 - `yield from` would close the results before `finally`
            yield result
    except BrokenProcessPool as error:
        raise SerError(
            f"{what}: a worker process was ended from outside, for want of memory perhaps",
            found=str(error).split("\n")[0],
            action="What was done is kept; give the same command again, with fewer --jobs.",
        ) from None
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's, of results that were not used: an interrupt, a full disk
            results.close()


def stop_signals() -> list[signal.Signals]:
    """The signals that end a command, as far as this system has them."""
    return [signal.Signals[name] for name in STOPS if hasattr(signal, name)]


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Start processes within the block that never get the signals which end a command.

    A terminal and a batch system send these signals to the workers too. The workers would print tracebacks, or be missed by
    the parent before it hears of its own end. The parent ends them, and `end_with_parent` if it cannot. A process inherits the
    blocked signals from the thread that starts it, so that it is safe while it still imports; this thread gets in the end
    what came meanwhile.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as of_loky

    before = signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())
    for tracker in (resource_tracker, of_loky):  # they remove what killed processes leave in shared memory
        tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())  # again, as their start unblocks signals
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent(parent: int) -> None:
    """End this worker process soon after its parent, whatever ended that one: a worker alone would go on for minutes.

    A thread looks once a second. Linux could send a signal by itself (PR_SET_PDEATHSIG), but at the end of the thread that
    started the worker, which may be long before the end of the process.

    Args:
        parent: process id.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def one_thread() -> AbstractContextManager[Any]:
    """Keep the libraries of linear algebra, and OpenMP, on one thread within the block.

    They are looked for again when a module has been imported since: the search reads the map of the process's memory, which
    takes longer than a small classifier.
    """
    found: AbstractContextManager[Any] = _thread_pools(len(sys.modules)).limit(limits=1)
    return found


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@cache
def keep_memory() -> None:
    """Let this process keep the memory that tensors free, for the next ones; where the C library can be told so (glibc).

    By default blocks of some megabytes go back to the system at every free, and come back page by page: on a small virtual
    machine a fifth of a training step. At most 1 GiB is kept.
    """
    try:
        library = ctypes.CDLL(None)
        for limit in (MMAP_THRESHOLD, TRIM_THRESHOLD):
            library.mallopt(limit, 1 << 30)
    except (OSError, AttributeError, TypeError):
        return  # another C library: its own ways

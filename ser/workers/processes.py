"""Work spread over processes of this machine, which end with their parent."""

import atexit
import gc
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from ser.errors import SerError
from ser.outside import VARIABLE, call

T = TypeVar("T")
STOPS = ("SIGINT", "SIGTERM", "SIGHUP")  # the signals that end a command; SIGHUP does not exist everywhere
AGAIN = 3  # times that the work of lost workers is done again; of Dask's its scheduler decides (`allowed-failures`)
PARENT_SECONDS = 1.0  # between two looks at the parent


class WorkerLost(SerError):
    """A worker process was ended from outside."""


def as_finished(
    function: Callable[..., T], units: Iterable[tuple[Any, ...]], jobs: int, what: str
) -> Generator[tuple[int, T], None, None]:
    """Each unit's position and the result of `function(*unit)`, as they finish, from `jobs` worker processes.

    Where a worker process is killed, all that were at work end with it. What they had begun is done again, by one worker fewer
    but two, as the usual reason is too little memory.

    Raises:
        WorkerLost: it happened `AGAIN` times, and once more.
    """
    left = dict(enumerate(units))
    for chances in reversed(range(AGAIN + 1)):
        calls = [(function, k, unit) for k, unit in left.items()]
        options = {"pre_dispatch": "2*n_jobs"}
        with closing(_from_processes(_numbered, calls, jobs, what, "generator_unordered", options)) as results:
            try:
                for number, result in results:
                    del left[number]
                    yield number, result
                return
            except WorkerLost as error:
                if not chances:
                    raise
                jobs = max(2, jobs - 1)  # one would be this process
                print(f"{error.problem}. What was begun is done again by {jobs}.", file=sys.stderr, flush=True)


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
        WorkerLost: a worker process was killed.
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
    tied = {"initializer": _begin, "initargs": (os.getpid(),)}
    with parallel_config("loky", inner_max_num_threads=1, **tied), signals_blocked():
        calls = (delayed(_settled)(trusted, function, *unit) for unit in units)
        results = Parallel(n_jobs=jobs, return_as=return_as, **options)(calls)
    try:
        for result in results:  # noqa: UP028 - `yield from` would close the results before `finally`
            yield result
    except BrokenProcessPool as error:
        raise WorkerLost(
            f"{what}: a worker process was ended from outside, for want of memory perhaps",
            found=str(error).split("\n")[0],
            action="What was done is kept; give the same command again, with fewer --jobs.",
        ) from None
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's, of results that were not used: an interrupt, a full disk
            results.close()


def _begin(parent: int) -> None:
    """Begin a worker process: it reads its first unit of work, and so imports what it needs, without collections."""
    end_with_parent(parent)
    gc.disable()
    atexit.register(gc.freeze)  # or the end of the process goes through all modules


def _settled(trusted: str, function: Callable[..., T], *unit: Any) -> T:
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return call(trusted, function, *unit)


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

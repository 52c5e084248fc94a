"""Work spread over processes of this machine, which end with their parent."""

import atexit
import gc
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ser.errors import SerError
from ser.outside import VARIABLE, call

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

T = TypeVar("T")
STOPS = ("SIGINT", "SIGTERM", "SIGHUP")  # the signals that end a command; SIGHUP does not exist everywhere
AGAIN = 3  # times that the work of lost workers is done again; of Dask's its scheduler decides (`allowed-failures`)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PARENT_SECONDS = 1.0  # between two looks at the parent
_allowed = False  # copies of this process, by the program that runs


class WorkerLost(SerError):
    """A worker process was ended from outside."""


class WorkerTraceback(Exception):
    """The place of an error in a worker process."""


def as_finished(
    function: Callable[..., T], units: Iterable[tuple[Any, ...]], jobs: int, what: str
) -> Generator[tuple[int, T], None, None]:
    """Each unit's position and the result of `function(*unit)`, as they finish, from `jobs` worker processes.

    Where a worker process is killed, all that were at work end with it. What they had begun is done again, by one worker fewer
    but two, as the usual reason is too little memory.

    Args:
        what: named in the error.

    Raises:
        WorkerLost: it happened `AGAIN` times, and once more.
    """
    left = dict(enumerate(units))
    for chances in reversed(range(AGAIN + 1)):
        spread = _from_copies if can_copy() else _from_new
        with closing(spread(function, dict(left), jobs, what)) as results:
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


def in_order(function: Callable[..., T], units: Iterable[tuple[Any, ...]], jobs: int, what: str) -> Generator[T, None, None]:
    """As `as_finished`, the results alone and in the order of the units; those that are early wait."""
    early: dict[int, T] = {}
    following = 0
    with closing(as_finished(function, units, jobs, what)) as results:
        for number, result in results:
            early[number] = result
            while following in early:
                yield early.pop(following)
                following += 1


def allow_copies() -> None:
    """Allow `as_finished` to copy this process. The command line does; a notebook or a script has things of its own."""
    global _allowed
    _allowed = True


def can_copy() -> bool:
    """True where workers are copies of this process, which are there at once with all that it has imported and read.

    A copy (`fork`) has none of the other threads, and what these hold stays locked in it; and CUDA does not work in one. Other
    systems than Linux have libraries that do not work in one either. `SER_FORK=0` in the environment starts new processes
    everywhere, `SER_FORK=1` allows copies of scripts too.
    """
    setting = os.environ.get("SER_FORK", "")
    if setting == "0" or not (_allowed or setting == "1") or sys.platform != "linux" or threading.active_count() > 1:
        return False
    torch = sys.modules.get("torch")
    return torch is None or not torch.cuda.is_available()


def _from_copies(
    function: Callable[..., T], units: dict[int, tuple[Any, ...]], jobs: int, what: str
) -> Generator[tuple[int, T], None, None]:
    """Results from copies of this process, which have the units without being sent them, and one thread each."""
    from multiprocessing import get_context
    from multiprocessing.connection import Connection, wait

    context, waiting = get_context("fork"), deque(units)
    workers: dict[Any, BaseProcess] = {}  # by this process's end of a connection
    busy: list[Any] = []

    def begin(worker: Connection) -> None:
        if waiting:
            busy.append(worker)
            with suppress(OSError):  # it has been killed, as its answer will show
                worker.send(waiting.popleft())

    try:
        with signals_blocked(trackers=False):
            for _ in range(min(jobs, len(units))):
                here, there = context.Pipe()
                target = partial(_copy, there, [*workers, here], function, units, os.getpid())
                process = context.Process(target=target, daemon=True)
                process.start()
                workers[here] = process
                there.close()
        for connection in workers:
            begin(connection)
        while busy:
            worker: Any = wait(busy)[0]
            try:
                number, result, error, told = worker.recv()
            except (EOFError, OSError):
                workers[worker].join()
                raise _lost(what, f"exit code {workers[worker].exitcode}") from None
            if error is not None:
                raise error from WorkerTraceback(told)
            busy.remove(worker)
            begin(worker)
            yield number, result
    finally:
        for connection, copy in workers.items():
            copy.kill()
            copy.join()
            connection.close()


def _copy(connection: Any, others: Iterable[Any], function: Callable[..., Any], units: Any, parent: int) -> None:
    """The work of a copy: units, whose numbers its parent sends.

    Args:
        others: the parent's ends of connections, which are to close with the parent.
    """
    from threadpoolctl import threadpool_limits

    gc.freeze()  # a collection would write to all memory that is shared with the parent
    for other in others:
        other.close()
    end_with_parent(parent)
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # of libraries that are still to be loaded
    threadpool_limits(1)
    with suppress(EOFError):  # the parent has ended
        while True:
            number = connection.recv()
            connection.send_bytes(_answer(number, function, units[number]))


def _answer(number: int, function: Callable[..., Any], unit: tuple[Any, ...]) -> bytes:
    """The result or the error of a unit, pickled."""
    try:
        return pickle.dumps((number, function(*unit), None, ""))
    except BaseException as error:
        told = "".join(traceback.format_exception(error))
        try:
            answer = pickle.dumps((number, None, error, told))
            pickle.loads(answer)  # our own
            return answer
        except Exception:
            return pickle.dumps((number, None, RuntimeError(told), told))


def _from_new(
    function: Callable[..., T], units: dict[int, tuple[Any, ...]], jobs: int, what: str
) -> Generator[tuple[int, T], None, None]:
    """Results from new processes, which are kept for later calls. Large arrays reach them as memory maps.

    Each worker has one intra-op thread: two OpenMP teams on the same cores cost several times the processor time.
    """
    from concurrent.futures.process import BrokenProcessPool

    from joblib import Parallel, delayed, parallel_config

    trusted = os.environ.get(VARIABLE, "")
    tied = {"initializer": _begin, "initargs": (os.getpid(),)}
    with parallel_config("loky", inner_max_num_threads=1, **tied), signals_blocked():
        calls = (delayed(_settled)(trusted, function, number, unit) for number, unit in units.items())
        results = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="2*n_jobs")(calls)
    try:
        for result in results:  # noqa: UP028 - `yield from` would close the results before `finally`
            yield result
    except BrokenProcessPool as error:
        raise _lost(what, str(error).split("\n")[0]) from None
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's, of results that were not used: an interrupt, a full disk
            results.close()


def _lost(what: str, found: str) -> WorkerLost:
    return WorkerLost(
        f"{what}: a worker process was ended from outside, for want of memory perhaps",
        found=found,
        action="What was done is kept; give the same command again, with fewer --jobs.",
    )


def _begin(parent: int) -> None:
    """Begin a worker process: it reads its first unit of work, and so imports what it needs, without collections."""
    end_with_parent(parent)
    gc.disable()
    atexit.register(gc.freeze)  # or the end of the process goes through all modules


def _settled(trusted: str, function: Callable[..., T], number: int, unit: tuple[Any, ...]) -> tuple[int, T]:
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return number, call(trusted, function, *unit)


def stop_signals() -> list[signal.Signals]:
    """The signals that end a command, as far as this system has them."""
    return [signal.Signals[name] for name in STOPS if hasattr(signal, name)]


@contextmanager
def signals_blocked(trackers: bool = True) -> Iterator[None]:
    """Start processes within the block that never get the signals which end a command.

    A terminal and a batch system send these signals to the workers too. The workers would print tracebacks, or be missed by
    the parent before it hears of its own end. The parent ends them, and `end_with_parent` if it cannot. A process inherits the
    blocked signals from the thread that starts it, so that it is safe while it still imports; this thread gets in the end
    what came meanwhile.

    Args:
        trackers: the processes use shared memory, and what they leave of it is to be removed.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())
    if trackers:
        _start_trackers()
        signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())  # again, as their start unblocks signals
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_trackers() -> None:
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as of_loky

    for tracker in (resource_tracker, of_loky):  # they remove what killed processes leave in shared memory
        tracker.ensure_running()


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

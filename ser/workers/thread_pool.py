"""Work spread over threads of this process.

What a process has only once is held while a thread uses it, so that numbers do not depend on the other threads: torch's
generator by `ser.train.nn.streams.PROCESS`, the limits of libraries by `ser.workers.threads.one_thread`. Fits by scikit-learn
share too much for threads (`ser.train.runs.plan.engine_of`).
"""

import threading
import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

T = TypeVar("T")


class GivenUp(BaseException):
    """The work of a thread is no longer wanted."""


class _Own(threading.local):
    """The end of the work that a thread has a part in; None in a thread that is not a worker."""

    ended: threading.Event | None = None


_OWN = _Own()


def finished(function: Callable[..., T], units: Iterable[tuple[Any, ...]], jobs: int) -> Generator[tuple[int, T], None, None]:
    """Each unit's position and the result of `function(*unit)`, as they finish, from `jobs` threads.

    When it is closed, or a unit fails, no further unit is begun; those in work leave where they next call `go_on`, and are
    waited for.
    """
    ended = threading.Event()
    with warnings.catch_warnings():  # pandas does so in each thread, which may leave behind what another thread had set
        pool = ThreadPoolExecutor(jobs, "ser", _begin, (ended,))
        numbers = {pool.submit(function, *unit): number for number, unit in enumerate(units)}
        try:
            for future in as_completed(numbers):
                yield numbers.pop(future), future.result()
        finally:
            ended.set()
            pool.shutdown(cancel_futures=True)


def _begin(ended: threading.Event) -> None:
    _OWN.ended = ended


def in_worker() -> bool:
    """True in a thread that works for others."""
    return _OWN.ended is not None


def go_on() -> None:
    """Leave the work of this thread if it is no longer wanted; called between steps of a long unit.

    Raises:
        GivenUp: it is not.
    """
    if _OWN.ended is not None and _OWN.ended.is_set():
        raise GivenUp

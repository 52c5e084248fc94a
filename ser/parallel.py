"""Work spread over processes, its results in order: joblib, and what it leaves to its callers; how many cores there are."""

import os
import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from ser.errors import SerError

T = TypeVar("T")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    function: Callable[..., T], units: Iterable[tuple[Any, ...]], jobs: int, what: str, **options: Any
) -> Generator[T, None, None]:
    """Results of `function(*unit)` as they come, in the order of the units, from `jobs` worker processes.

    Each worker has one intra-op thread: two OpenMP teams on the same cores cost several times the processor time.

    Args:
        what: named in the error.
        options: of `joblib.Parallel`.

    Raises:
        SerError: a worker process was killed.
    """
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        results = Parallel(n_jobs=jobs, return_as="generator", **options)(delayed(function)(*unit) for unit in units)
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

"""Work spread over processes, its results in order: joblib, and what it leaves to its callers; how many cores there are."""

import ctypes
import warnings
from collections.abc import Callable, Generator, Iterable
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import Any, TypeVar

from ser.errors import SerError

T = TypeVar("T")
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


def cores() -> int:
    """Processor cores that this process may use: affinity and a container's share are counted."""
    from joblib import cpu_count

    return int(cpu_count())


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

    with parallel_config("loky", inner_max_num_threads=1):
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

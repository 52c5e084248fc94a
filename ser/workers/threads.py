"""The cores, the threads and the memory of one process."""

import ctypes
import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
_ONE = threading.RLock()  # of the thread that is within `one_thread`


def cores() -> int:
    """Processor cores that this process may use: affinity and a container's share are counted."""
    from joblib import cpu_count

    return int(cpu_count())


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the libraries of linear algebra, and OpenMP, on one thread within the block, and other threads out of such blocks.

    Their limits are of the whole process: a thread that left would put them back for the others. The libraries are looked for
    again when a module has been imported since: the search reads the map of the process's memory, which takes longer than a
    small classifier.
    """
    with _ONE, _thread_pools(len(sys.modules)).limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _thread_pools(modules: int) -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def lasting() -> Iterator[None]:
    """Import a large library within the block, without garbage collection: it would go through all that lasts again and again.

    Where the process has frozen objects before, as the command line does at its start, all that is there now is frozen too:
    later collections, and that at the end of the process, leave it out. Elsewhere nothing is: in a notebook the user's own
    objects would be among it, and never be freed.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count():
            gc.freeze()
        if collects:
            gc.enable()


@cache
def keep_memory() -> None:
    """Let this process keep the memory that tensors free, for the next ones; where the C library can be told so (glibc).

    By default blocks of some megabytes go back to the system at every free, and come back page by page: on a small virtual
    machine a fifth of a training step. Where sizes vary, as of batches of recordings, twice what a step needs may be kept.
    """
    try:
        library = ctypes.CDLL(None)
        for limit in (MMAP_THRESHOLD, TRIM_THRESHOLD):
            library.mallopt(limit, 1 << 30)
    except (OSError, AttributeError, TypeError):
        return  # another C library: its own ways

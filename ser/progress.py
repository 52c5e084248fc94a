"""A progress bar with rate and time left on a terminal and in a notebook, plain lines elsewhere."""

import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
PLAIN_SECONDS = 15.0


def progress(items: Iterable[T], total: int, label: str, unit: str = "it", quiet: bool = False) -> Iterator[T]:
    """Yield the items, showing on standard error how far they are."""
    if quiet:
        yield from items
    elif sys.stderr.isatty() or in_notebook():
        yield from _bar()(items, total=total, desc=label, unit=unit, leave=False, dynamic_ncols=True, miniters=1)
    else:
        yield from _plain(items, total, label, unit)


def _bar() -> Any:
    """The class of a progress bar."""
    from tqdm.std import TqdmWarning, tqdm

    if not in_notebook():
        # Without its thread, which wakes bars that count many items at a time: a process with threads is not copied.
        return type("Bar", (tqdm,), {"monitor_interval": 0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # without ipywidgets the bar is of text
        from tqdm.auto import tqdm as of_notebook
    return of_notebook


def in_notebook() -> bool:
    """True in the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def _plain(items: Iterable[T], total: int, label: str, unit: str) -> Iterator[T]:
    last = time.monotonic()
    first = None  # when the first item was done: to start processes and import packages is no measure of the rest
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        first = first or now
        if now - last >= PLAIN_SECONDS and done < total:
            last = now
            pace = f", {rate_and_left(done - 1, now - first, total - done, unit)}" if done > 1 and now > first else ""
            print(f"{label}: {done}/{total} {unit}{pace}", file=sys.stderr, flush=True)


def rate_and_left(done: int, seconds: float, left: int, unit: str) -> str:
    """How fast it goes and how long the rest will take, in words: items for a second, or seconds for a slow item."""
    rate = done / seconds
    rest = left / rate
    speed = f"{rate:.1f} {unit}/s" if rate >= 1 else f"{1 / rate:.1f} s/{unit}"
    if rest < 120:
        return f"{speed}, {rest:.0f} s left"
    return f"{speed}, {rest / 60:.0f} min left" if rest < 7200 else f"{speed}, {rest / 3600:.1f} h left"

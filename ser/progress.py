"""A progress bar with rate and time left on a terminal and in a notebook, plain lines elsewhere."""

import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
PLAIN_SECONDS = 15.0


def progress(items: Iterable[T], total: int, label: str, unit: str = "it", quiet: bool = False) -> Iterator[T]:
    """Yield the items, showing on standard error how far they are."""
    if quiet:
        yield from items
    elif sys.stderr.isatty() or in_notebook():
        from tqdm.std import TqdmWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TqdmWarning)  # in a notebook without ipywidgets the bar is of text
            from tqdm.auto import tqdm
        yield from tqdm(items, total=total, desc=label, unit=unit, leave=False, dynamic_ncols=True)
    else:
        yield from _plain(items, total, label, unit)


def in_notebook() -> bool:
    """True in the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def _plain(items: Iterable[T], total: int, label: str, unit: str) -> Iterator[T]:
    begin = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= PLAIN_SECONDS and done < total:
            last = now
            rate = done / (now - begin)
            left = (total - done) / rate
            print(
                f"{label}: {done}/{total} {unit}, {rate:.1f} {unit}/s, {left:.0f} s left", file=sys.stderr, flush=True
            )

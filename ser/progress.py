"""A progress bar with rate and time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
PLAIN_SECONDS = 15.0


def progress(items: Iterable[T], total: int, label: str, unit: str = "it", quiet: bool = False) -> Iterator[T]:
    """Yield the items, showing on standard error how far they are."""
    if quiet:
        yield from items
    elif sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=label, unit=unit, leave=False, dynamic_ncols=True)
    else:
        yield from _plain(items, total, label, unit)


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

"""The outcome of a verification: numbers that differ when they are recomputed, and what could not be checked."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ser.jsonfile import plain

CLOSE = 1e-9  # relative; the same code on another machine adds up in another order
NEAR = 1e-12  # absolute, of numbers that are 0 but for rounding
_ABSENT = object()


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        where: the place in the record, `$.pooled.main.mean`, or the file.
        stored: the value in the record.
        again: the value that it should have.
    """

    where: str
    stored: Any
    again: Any

    def line(self) -> str:
        return f"{self.where}: stored {_short(self.stored)}, recomputed {_short(self.again)}"


@dataclass
class Verdict:
    """The outcome for one record.

    Attributes:
        numbers: values that were recomputed and compared.
        files: files that were compared by their hash.
        differences: faults.
        missing: things that are not there to be checked, which is not a fault of the record.
        beyond: things that cannot be compared with anything, wherever the record lies.
    """

    path: Path
    numbers: int = 0
    files: int = 0
    differences: list[Fault] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)

    def add(self, where: str, stored: Any, again: Any) -> None:
        self.differences.append(Fault(where, stored, again))

    def compare(self, stored: Any, again: Any, where: str = "$") -> None:
        """Compare two values of JSON, numbers nearly and all else exactly; each leaf that differs is a fault."""
        self._compare(plain(stored), plain(again), where)

    def _compare(self, stored: Any, again: Any, where: str) -> None:
        if isinstance(again, dict) and isinstance(stored, dict):
            for key in dict.fromkeys([*stored, *again]):
                self._compare(stored.get(key, _ABSENT), again.get(key, _ABSENT), f"{where}.{key}")
        elif isinstance(again, list) and isinstance(stored, list) and len(again) == len(stored):
            for k, (one, other) in enumerate(zip(stored, again, strict=True)):
                self._compare(one, other, f"{where}[{k}]")
        else:
            self.numbers += 1
            if not _same(stored, again):
                self.add(where, stored, again)


def _same(stored: Any, again: Any) -> bool:
    numbers = [v for v in (stored, again) if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) == 2 and any(
        isinstance(v, float) for v in numbers
    ):  # two integers are the same or not: a seed has 19 digits
        return math.isclose(stored, again, rel_tol=CLOSE, abs_tol=NEAR)
    return bool(stored == again)


def _short(value: Any) -> str:
    text = "nothing" if value is _ABSENT else repr(value)
    return text if len(text) <= 120 else f"{text[:120]}..."

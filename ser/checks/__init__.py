"""The promises that a part makes to the program, tried on small made data: `ser check`, and the generic tests of all plugins.

A kind has a module with `promises(name)`: a sentence -> a function that raises where it does not hold.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import NamedTuple

from ser import registry

# Each kind whose promises can be tried, and the module that does.
KINDS = {
    "head": "ser.checks.heads",
    "loss": "ser.checks.losses",
    "adaptation": "ser.checks.adaptations",
    "encoder": "ser.checks.encoders",
    "corpus": "ser.checks.corpora",
    "fewshot": "ser.checks.fewshot",
    "format": "ser.checks.formats",
}
Promises = dict[str, Callable[[], None]]


class Tried(NamedTuple):
    """A promise, and what is wrong with it; "" where it holds."""

    promise: str
    fault: str


class BrokenPromise(AssertionError):
    """A promise that a part does not keep: what was expected of it, and what it did."""


def hold(true: object, fault: str) -> None:
    """Raise the fault where something is not true."""
    if not true:
        raise BrokenPromise(fault)


def check(kind: str, name: str) -> Iterator[Tried]:
    """Try the promises of a part, one after another.

    Args:
        kind: of `KINDS`.
        name: a plugin's name, `FILE.py:NAME`, `FILE.py` or `MODULE:NAME`.

    Raises:
        ConfigError: there is no such part, or it lacks what every one of its kind has.
    """
    package = next(package for package in registry.kinds().values() if registry.word(package) == kind)
    name = registry.resolve(package, name)
    registry.load(package, name)
    promises: Promises = {}
    made = _tried("it can be made", lambda: promises.update(import_module(KINDS[kind]).promises(name)))
    if made.fault:
        yield made
    for promise, holds in promises.items():
        yield _tried(promise, holds)


def _tried(promise: str, holds: Callable[[], None]) -> Tried:
    try:
        holds()
    except Exception as error:  # the part is another's code
        said = " ".join(str(error).split())
        return Tried(promise, said if isinstance(error, BrokenPromise) else f"{type(error).__name__}: {said}")
    return Tried(promise, "")

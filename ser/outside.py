"""Parts from outside of ser: of installed packages, by their entry points, and of files and modules that the user names.

Nothing else is imported: a saved head or a record says which parts it needs, and never makes this program run them. What the
user named is kept in the environment variable `SER_PARTS`, so that worker processes know it too; a user may also set it.
"""

import os
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict, TypeVar

from ser.errors import ConfigError
from ser.optional import modules_of_packages
from ser.outside_modules import OtherKindError, forget, imported, module_of_file, plugin_of, sha256_of

# References with `;` between them, each with `#` and the SHA-256 of its source once it is loaded.
VARIABLE = "SER_PARTS"
T = TypeVar("T")
FORMS = "FILE.py:NAME, FILE.py or MODULE:NAME"
_REFERENCE = re.compile(r"(?P<source>(?P<file>[^;#]+\.py)(?=:|$)|[A-Za-z_][\w.]*(?=:))(:(?P<attribute>[A-Za-z_]\w*))?")


class PartFacts(TypedDict):
    """What a record says of a part.

    Attributes:
        package, version: None for a file that belongs to no package.
        sha256: of the source: of its file, or of all Python files of its package, in the order of their names.
    """

    kind: str
    name: str
    package: str | None
    version: str | None
    module: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Part:
    """A part from outside.

    Attributes:
        plugin: its contents, as a file of the kind's folder would have them.
    """

    plugin: ModuleType
    facts: PartFacts


def split_reference(text: str) -> tuple[str, str]:
    """A reference, and what follows it after a colon; no reference where the text does not begin with one.

    >>> split_reference("./my_loss.py:Mine:0.3"), split_reference("pkg.losses:Mine"), split_reference("mlp")
    (('./my_loss.py:Mine', '0.3'), ('pkg.losses:Mine', ''), ('', ''))
    """
    found = _REFERENCE.match(text)
    rest = text[found.end() :] if found else ""
    if not found or rest[:1] not in ("", ":") or not (found["file"] or found["attribute"]):
        return "", ""
    return found[0], rest[1:]


def is_reference(text: str) -> bool:
    """True for `FILE.py`, `FILE.py:NAME` or `MODULE:NAME`."""
    return split_reference(text) == (text, "") and text != ""


def name_of(reference: str) -> str:
    """The name that records have for a part: without the file's folder and ending.

    >>> name_of("/home/me/my_head.py:MyHead"), name_of("pkg.heads:MyHead")
    ('my_head:MyHead', 'pkg.heads:MyHead')
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None or not (found["file"] or found["attribute"]):
        raise ConfigError(f"{reference!r} names no part", expected=FORMS)
    if not found["file"]:
        return reference
    stem = Path(found["file"]).stem
    if not re.fullmatch(r"\w[\w.-]*", stem):
        raise ConfigError(
            f"{found['file']}: results are named after the file",
            expected="a file name of letters, digits, - and _",
            action="Rename the file.",
        )
    return f"{stem}:{found['attribute']}" if found["attribute"] else stem


def trust(reference: str) -> str:
    """Allow a part from outside to be imported, in this process and its workers, where a saved head or a store needs it.

    Args:
        reference: `FILE.py:NAME`, `FILE.py` or `MODULE:NAME`.

    Returns:
        The name that records have for it.

    Raises:
        ConfigError: it is not a reference, or another file's part of the same name has been allowed.
    """
    name, reference, known = name_of(reference), _absolute(reference), _trusted()
    if name in known and known[name][0] != reference:
        raise ConfigError(
            f"two parts are called {name}", found=f"{known[name][0]} and {reference}", action="Rename one of the files."
        )
    if name not in known:
        os.environ[VARIABLE] = ";".join(filter(None, [os.environ.get(VARIABLE, ""), reference]))
    return name


def distrust(name: str) -> None:
    """Take back what `trust` allowed."""
    _set_trusted({known: pair for known, pair in _trusted().items() if known != name})


def call(trusted: str, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a worker process, which may be older than the names that the user gave.

    Args:
        trusted: the value of `VARIABLE` in the parent.
    """
    if trusted:
        os.environ[VARIABLE] = trusted
    return function(*arguments)


def unpickle(data: bytes) -> Any:
    """Unpickle an object of this program in a worker process; the files that it may be of are run before."""
    for reference, _ in _trusted().values():
        if (file := _file(reference)) is not None:
            module_of_file(file, reference)
    return pickle.loads(data)


def is_trusted(reference: str) -> bool:
    """True for a reference that the user has named before."""
    return name_of(reference) in _trusted()


def is_known(group: str, name: str) -> bool:
    """True for a part that the user named, or that an installed package offers."""
    return name in _trusted() or name in offered(group)


# Looks into every installed package, a hundredth of a second for each forty of them.
_entry_points = cache(entry_points)


@cache
def offered(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """The parts that installed packages offer, by the name of their entry points."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in _entry_points().select(group=group):
        if point not in found.get(point.name, ()):
            found[point.name] = (*found.get(point.name, ()), point)
    return found


def part(package: str, kind: str, group: str, name: str) -> Part | None:
    """A part by its name; None where no package offers it and the user has not named it.

    Args:
        package: the folder of its kind, such as `ser.train.heads`.

    Raises:
        ConfigError: it cannot be imported, or is not of that kind.
    """
    if name in (trusted := _trusted()):
        reference, sha256 = trusted[name]
        found = _of_reference(package, kind, name, reference)
        if sha256 not in ("", found.facts["sha256"]):  # a worker of a cluster that outlived an edit
            _forget(reference)
            found = _of_reference(package, kind, name, reference)
        if sha256 not in ("", found.facts["sha256"]):
            raise ConfigError(
                f"the source of {kind} {name} has changed while it was in use",
                expected=f"SHA-256 {sha256[:12]}",
                found=found.facts["sha256"][:12],
                action="Give the command again, or start Python again: another source is another experiment.",
            )
        return found
    if name in offered(group):
        return _of_package(package, kind, group, name)
    return None


def of_kind(package: str, group: str) -> tuple[str, ...]:
    """The names of the parts of a kind among those that the user named.

    Raises:
        ConfigError: one of these, of whatever kind, cannot be imported.
    """
    return tuple(name for name in _trusted() if is_of_kind(package, group, name))


def is_of_kind(package: str, group: str, name: str) -> bool:
    """True for a part of a kind that the user named, or that an installed package offers.

    Raises:
        ConfigError: it cannot be imported.
    """
    try:
        return part(package, "part", group, name) is not None
    except OtherKindError:
        return False


@cache
def _of_package(package: str, kind: str, group: str, name: str) -> Part:
    points = offered(group)[name]
    if len(points) > 1:
        packages = " and ".join(sorted(str(p.dist and p.dist.name) for p in points))
        raise ConfigError(f"{kind} {name} is offered by {packages}", action=f"Name one: {points[0].value}.")
    (point,) = points
    module = imported(point.module, f"{kind} {name} of the package {point.dist and point.dist.name}")
    plugin = plugin_of(package, kind, f"{kind} {name} ({point.value})", module, point.attr or "")
    facts: PartFacts = {
        "kind": kind,
        "name": name,
        "module": point.module,
        "package": None if point.dist is None else point.dist.name,
        "version": None if point.dist is None else point.dist.version,
        "sha256": sha256_of(module),
    }
    return Part(plugin, facts)


@cache
def _of_reference(package: str, kind: str, name: str, reference: str) -> Part:
    found = _REFERENCE.fullmatch(reference)
    assert found is not None
    file, attribute, shown = _file(reference), found["attribute"] or "", f"{kind} {name}"
    packages: list[str] = []
    if file is not None:
        module, sha256 = module_of_file(file, shown)
    else:
        module = imported(found["source"], shown)
        sha256 = sha256_of(module)
        top = module.__name__.split(".")[0]
        packages = [package for package, names in modules_of_packages().items() if top in names]
    facts: PartFacts = {
        "kind": kind,
        "name": name,
        "package": packages[0] if packages else None,
        "version": version(packages[0]) if packages else None,
        "module": module.__name__ if file is None else file.name,
        "sha256": sha256,
    }
    plugin = plugin_of(package, kind, shown, module, attribute)
    trusted = _trusted()
    trusted[name] = reference, trusted[name][1] or facts["sha256"]
    _set_trusted(trusted)
    return Part(plugin, facts)


def _forget(reference: str) -> None:
    """Let the next use of a part read its source again."""
    _of_reference.cache_clear()
    forget(None if _file(reference) else reference.partition(":")[0])


def _trusted() -> dict[str, tuple[str, str]]:
    """Name -> reference, and the SHA-256 of its source where it has been loaded, of all that the user named."""
    words = [word.strip() for word in os.environ.get(VARIABLE, "").split(";")]
    pairs = [word.partition("#")[::2] for word in words if word]
    return {name_of(reference): (_absolute(reference), sha256) for reference, sha256 in pairs}


def _set_trusted(trusted: dict[str, tuple[str, str]]) -> None:
    os.environ[VARIABLE] = ";".join(f"{text}#{sha256}".rstrip("#") for text, sha256 in trusted.values())


def _file(reference: str) -> Path | None:
    found = _REFERENCE.fullmatch(reference)
    return Path(found["file"]).expanduser() if found and found["file"] else None


def _absolute(reference: str) -> str:
    """A reference with the whole path of its file: the same in workers that were started in another folder."""
    found = _REFERENCE.fullmatch(reference)
    file = _file(reference)
    return reference if found is None or file is None else f"{file.absolute()}{reference[found.end('file') :]}"

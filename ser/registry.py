"""The folder is the registry: a plugin is a file, its name is the plugin's name, and no list elsewhere repeats it.

A folder of plugins is a package below `ser` whose `__init__.py` has a constant `KIND = "loss"`, what one of them is called.
Parts from outside join them: those that installed packages offer by entry points, whose group is the constant `GROUP`, or else
`ser.` and the folder's name; and those that the user names by file or module (`resolve`). See `ser.outside`.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ser import outside
from ser.errors import ConfigError

_HERE = Path(__file__).parent


@cache
def kinds() -> dict[str, str]:
    """Each kind of plugin and the package of its files, such as `"loss": "ser.train.losses"`; nothing is imported."""
    folders = (file.parent for file in sorted(_HERE.rglob("__init__.py")))
    packages = (".".join(("ser", *folder.relative_to(_HERE).parts)) for folder in folders)
    return {found: package for package in packages if (found := kind(package))}


@cache
def names(package: str) -> tuple[str, ...]:
    """Names of the plugins in a package and of those that installed packages offer, sorted; nothing is imported.

    Args:
        package: dotted name below `ser`, such as `"ser.metadata.corpora"`.
    """
    return tuple(sorted({*_own(package), *outside.offered(group(package))}))


@cache
def _own(package: str) -> frozenset[str]:
    return frozenset(p.stem for p in folder(package).glob("*.py") if not p.stem.startswith("_"))


def has(package: str, name: str) -> bool:
    """True for the name of a plugin, of the package or from outside."""
    return name in _own(package) or outside.is_known(group(package), name)


def names_part(package: str, text: str) -> bool:
    """True for a part from outside by file or module, which a plugin's name with something after a colon is not."""
    return outside.is_reference(text) and text.partition(":")[0] not in _own(package)


def resolve(package: str, text: str) -> str:
    """The name of what a user asked for. A part that the user names by file or module is loaded; `load` finds it from then on.

    Args:
        text: a plugin's name, or `FILE.py:NAME`, `FILE.py`, `MODULE:NAME`.

    Raises:
        ConfigError: the part cannot be imported, is not of this kind, or its name is taken.
    """
    if not isinstance(text, str):
        raise ConfigError(
            f"the name of a {kind(package)}", expected=f"a text: one of {', '.join(names(package))}", found=repr(text)
        )
    if has(package, text) or not names_part(package, text):
        return text
    known = outside.is_trusted(text)
    name = outside.trust(text)
    try:
        if name in _own(package):
            raise _taken(package, name)
        load(package, name)
    except ConfigError:
        if not known:
            outside.distrust(name)  # another file may take its name, or a mended one
        raise
    return name


def facts_of_parts(package: str, *given: str) -> list[outside.PartFacts]:
    """The facts that records have of each of these that is from outside: kind, name, module, package, version, SHA-256."""
    parts = [_outside(package, name) for name in given if name not in _own(package)]
    return [part.facts for part in parts if part is not None]


def _outside(package: str, name: str) -> outside.Part | None:
    return outside.part(package, kind(package) or "plugin", group(package), name)


def load(package: str, name: str) -> ModuleType:
    """The plugin's module.

    Raises:
        ConfigError: no plugin has that name; the message lists the names there are and the nearest. Or two have it.
    """
    if name in _own(package):
        if outside.is_of_kind(package, group(package), name):
            raise _taken(package, name)
        return import_module(f"{package}.{name}")
    part = _outside(package, name)
    if part is not None:
        return part.plugin
    if outside.is_reference(name):
        raise ConfigError(
            f"{kind(package)} {name} is from outside of ser, and has not been named here",
            action=f"Name it with --part {name}, or its file with --part FOLDER/{name.replace(':', '.py:')}; "
            f'in Python: ser.trust("{name}").',
        )
    raise unknown(kind(package) or "plugin", name, names(package))


def _taken(package: str, name: str) -> ConfigError:
    return ConfigError(
        f"the name {name} is taken: ser has a {kind(package)} of this name",
        action="Rename the file or the entry point of the other, or name its class: FILE.py:CLASS.",
    )


def load_all(kind: str) -> dict[str, ModuleType]:
    """The modules of all plugins of a kind, by name. A room may so read facts of plugins that it must not import by name."""
    package = kinds()[kind]
    return {name: load(package, name) for name in names(package)}


def kind(package: str) -> str:
    """The constant `KIND` of a package: the name of one of its plugins, as in `head`; "" where it has none."""
    return constant(package, "KIND")


def word(package: str) -> str:
    """A kind in one word, as commands name it: its constant `WORD`, or else the first word of `KIND`."""
    return constant(package, "WORD") or kind(package).split()[0]


def named(package: str) -> tuple[str, ...]:
    """The parts of a kind that the user named by file or module, of all kinds at once, as by `--part`; each is loaded."""
    return outside.of_kind(package, group(package))


def group(package: str) -> str:
    """The group of entry points by which installed packages offer plugins of a kind, such as `ser.heads`."""
    return constant(package, "GROUP") or f"ser.{package.rsplit('.', 1)[-1]}"


@cache
def constant(package: str, name: str) -> str:
    """A constant of a package's `__init__.py`, which is not imported; "" where it has none."""
    file = folder(package) / "__init__.py"
    found = re.search(rf'^{name} = "(.+)"$', file.read_text(encoding="utf-8"), re.MULTILINE) if file.is_file() else None
    return found[1] if found else ""


def unknown(kind: str, name: str, known: tuple[str, ...] | list[str], option: str = "") -> ConfigError:
    """The error for a name that is not among the known ones, with the nearest of them, in capitals or not.

    >>> unknown("table", "EMODB", ["ravdess", "emodb"]).action
    "Did you mean 'emodb'?"
    """
    by = {one.lower(): one for one in reversed(known)}
    near = get_close_matches(name, known, n=1) or [by[one] for one in get_close_matches(name.lower(), by, n=1)]
    return ConfigError(
        f"unknown {kind} {name!r}",
        expected=f"one of {', '.join(known)}" if known else f"a {kind.rstrip(':')}, but there are none",
        action=f"Did you mean {near[0]!r}?" if near else None,
        option=option,
    )


def summary(module: ModuleType) -> str:
    """The first line of a plugin's docstring."""
    return (module.__doc__ or "").strip().split("\n")[0]


def folder(package: str) -> Path:
    """The folder of a package."""
    return _HERE.joinpath(*package.split(".")[1:])


def words(name: str, value: Any) -> tuple[str, ...] | None:
    """Names: one, several with commas between them, or an iterable of them; None where there are none.

    >>> words("stores", "egemaps,bert"), words("stores", ["egemaps"]), words("stores", [])
    (('egemaps', 'bert'), ('egemaps',), None)
    """
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",")]
    if not isinstance(value, Iterable) or isinstance(value, (bytes, Mapping)):
        raise ConfigError(f"{name} = {value!r}", expected="a name, or a list of names")
    found = tuple(value)
    if not all(isinstance(word, str) and word for word in found):
        raise ConfigError(f"{name} = {list(found)!r}", expected="a name, or a list of names")
    return found or None

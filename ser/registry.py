"""The folder is the registry: a plugin is a file, its name is the plugin's name, and no list elsewhere repeats it.

A folder of plugins is a package below `ser` whose `__init__.py` has one constant: `KIND = "loss"`, what one of them is called.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

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
    """Names of the plugins in a package, sorted; nothing is imported.

    Args:
        package: dotted name below `ser`, such as `"ser.metadata.corpora"`.
    """
    return tuple(sorted(p.stem for p in _folder(package).glob("*.py") if not p.stem.startswith("_")))


def load(package: str, name: str) -> ModuleType:
    """The plugin's module.

    Raises:
        ConfigError: no plugin has that name; the message lists the names there are and the nearest.
    """
    if name not in names(package):
        raise unknown(kind(package) or "plugin", name, names(package))
    return import_module(f"{package}.{name}")


def load_all(kind: str) -> dict[str, ModuleType]:
    """The modules of all plugins of a kind, by name. A room may so read facts of plugins that it must not import by name."""
    package = kinds()[kind]
    return {name: load(package, name) for name in names(package)}


def kind(package: str) -> str:
    """The constant `KIND` of a package: the name of one of its plugins, as in `head`; "" where it has none."""
    file = _folder(package) / "__init__.py"
    found = re.search(r'^KIND = "(.+)"$', file.read_text(encoding="utf-8"), re.MULTILINE) if file.is_file() else None
    return found[1] if found else ""


def unknown(kind: str, name: str, known: tuple[str, ...] | list[str], option: str = "") -> ConfigError:
    """The error for a name that is not among the known ones, with the nearest of them."""
    near = get_close_matches(name, known, n=1)
    return ConfigError(
        f"unknown {kind} {name!r}",
        expected=f"one of {', '.join(known)}" if known else f"a {kind}, but there are none",
        action=f"Did you mean {near[0]!r}?" if near else None,
        option=option,
    )


def summary(module: ModuleType) -> str:
    """The first line of a plugin's docstring."""
    return (module.__doc__ or "").strip().split("\n")[0]


def _folder(package: str) -> Path:
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

"""The folder is the registry: a plugin is a file, its name is the plugin's name, and no list elsewhere repeats it."""

from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ser.errors import ConfigError

_HERE = Path(__file__).parent


@cache
def names(package: str) -> tuple[str, ...]:
    """Names of the plugins in a package, sorted; nothing is imported.

    Args:
        package: dotted name below `ser`, such as `"ser.metadata.corpora"`.
    """
    folder = _HERE.joinpath(*package.split(".")[1:])
    return tuple(sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_")))


def load(package: str, name: str) -> ModuleType:
    """The plugin's module.

    Raises:
        ConfigError: no plugin has that name; the message lists the names there are and the nearest.
    """
    if name not in names(package):
        raise unknown(kind(package), name, names(package))
    return import_module(f"{package}.{name}")


def kind(package: str) -> str:
    """What one plugin of a package is called: `"ser.train.losses"` -> `"loss"`."""
    folder = package.rsplit(".", 1)[-1]
    names = {"corpora": "corpus", "losses": "loss", "methods": "few-shot method", "reports": "report format"}
    return names.get(folder, folder.removesuffix("s"))


def unknown(kind: str, name: str, known: tuple[str, ...] | list[str]) -> ConfigError:
    """The error for a name that is not among the known ones, with the nearest of them."""
    near = get_close_matches(name, known, n=1)
    return ConfigError(
        f"unknown {kind} {name!r}",
        expected=f"one of {', '.join(known)}" if known else f"a {kind}, but there are none",
        action=f"Did you mean {near[0]!r}?" if near else None,
    )


def summary(module: ModuleType) -> str:
    """The first line of a plugin's docstring."""
    return (module.__doc__ or "").strip().split("\n")[0]

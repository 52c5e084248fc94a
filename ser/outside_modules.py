"""Modules that parts from outside come in: imported, or run from a file, and checked against the contract of their kind."""

import hashlib
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

from ser.errors import ConfigError
from ser.files import why


class OtherKindError(ConfigError):
    """A file or module that the user named is of another kind than what was looked for."""


def module_of_file(file: Path, shown: str) -> tuple[ModuleType, str]:
    """The module that a file is run as, and the SHA-256 of its source."""
    try:
        file.open("rb").close()
    except OSError as error:
        raise ConfigError(f"{shown}: cannot read {file}", found=why(error), action="Check the path.") from None
    try:
        return _run(file)
    except Exception as error:
        raise _broken(shown, str(file), error) from error


@cache
def _run(file: Path) -> tuple[ModuleType, str]:
    """Run a file as a module, once for all parts in it; the code that is run and the bytes that are hashed are the same."""
    source = file.read_bytes()
    sha256 = hashlib.sha256(source).hexdigest()
    module = ModuleType(f"ser_part_{sha256[:12]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look for it
    try:
        exec(compile(source, str(file), "exec"), module.__dict__)  # the user named this file
    except Exception:
        del sys.modules[module.__name__]
        raise
    return module, sha256


def imported(name: str, shown: str) -> ModuleType:
    """Import a module, also of the current folder."""
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        return import_module(name)
    except Exception as error:
        if not isinstance(error, ModuleNotFoundError) or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(shown, name, error) from error
        raise ConfigError(
            f"{shown}: there is no module {name}",
            expected="one of an installed package, or of the current folder",
            action=f"Install its package, or name its file: ./{name.rpartition('.')[2]}.py:NAME.",
        ) from None


def _broken(shown: str, source: str, error: Exception) -> ConfigError:
    line = ""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == source:
            line = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return ConfigError(
        f"{shown}: {source} cannot be imported",
        found=f"{type(error).__name__}: {error}{line}",
        action="Mend it, or install what it imports; --verbose prints the traceback.",
    )


def sha256_of(module: ModuleType) -> str:
    """The SHA-256 of a module's file; of a module within a package, that of all Python files of the package."""
    top = sys.modules[module.__name__.split(".")[0]]
    folders = [Path(folder) for folder in getattr(top, "__path__", ())]
    files: Iterable[Path] = (f for folder in folders for f in sorted(folder.rglob("*.py")))
    if not folders:
        files = [Path(str(module.__file__))]
    found = hashlib.sha256()
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()


def plugin_of(package: str, kind: str, shown: str, module: ModuleType, attribute: str) -> ModuleType:
    """The contents of a part as a plugin of its kind has them.

    The package of a kind says what these are: `CLASS`, the name that a plugin gives to its class or function; `BASE`, the class
    that it is derived from; `OTHERS`, classes that it is not derived from; `NEEDS`, the other names. Where a kind has no class,
    an instance of a class is the plugin.

    Raises:
        ConfigError: a name is missing, or the class is of another kind.
    """
    contract = import_module(package)
    main, base, needs, others = (getattr(contract, name, "") for name in ("CLASS", "BASE", "NEEDS", "OTHERS"))
    members = {name: value for name, value in vars(module).items() if not name.startswith("__")}
    documented = module.__doc__
    if attribute:
        if attribute not in members:
            raise _lacking(shown, module, attribute)
        found = members[attribute]
        if main:
            members |= {name: getattr(found, name) for name in dir(found) if name.isupper()}
            members[main] = found
        else:
            owner = _instance(shown, found) if isinstance(found, type) else found
            members |= {name: getattr(owner, name) for name in dir(owner) if not name.startswith("__")}
        documented = found.__doc__ or documented
    missing = [name for name in (main, *needs) if name and name not in members]
    if missing:
        own = [name for name, value in members.items() if getattr(value, "__module__", "") == module.__name__]
        raise OtherKindError(
            f"{shown} lacks {', '.join(missing)}",
            expected=f"what a {kind} has: {', '.join(filter(None, (main, *needs)))}",
            found=", ".join(own) if own else None,
            action=f"Is it a {kind}? See docs/extending.md.",
        )
    given = members[main] if main else None
    # It may give an object of the class.
    function = main == "load" and callable(given) and not isinstance(given, type)
    if base and not function and (not _derives(given, base) or any(_derives(given, other) for other in others)):
        but = f", and not from {' or '.join(other.partition(':')[2] for other in others)}" if others else ""
        raise OtherKindError(
            f"{shown} is of another kind",
            expected=f"a class derived from {base.replace(':', '.')}{but}",
            found=repr(given)[:80],
        )
    plugin = ModuleType(module.__name__, documented)
    vars(plugin).update(members)
    plugin.__file__ = module.__file__
    return plugin


def _derives(found: Any, parent: str) -> bool:
    module, _, name = parent.partition(":")
    return isinstance(found, type) and issubclass(found, getattr(import_module(module), name))


def _instance(shown: str, found: type) -> Any:
    try:
        return found()
    except Exception as error:
        raise ConfigError(
            f"{shown} cannot be made without arguments",
            found=f"{type(error).__name__}: {error}",
            action="See docs/extending.md for what one consists of.",
        ) from error


def _lacking(shown: str, module: ModuleType, attribute: str) -> ConfigError:
    own = [n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
    near = get_close_matches(attribute, own, n=1)
    return ConfigError(
        f"{shown}: no {attribute} in {Path(str(module.__file__)).name}",
        expected=f"one of {', '.join(own)}" if own else "a class; the file has none",
        action=f"Did you mean {near[0]!r}?" if near else None,
    )


def forget(module: str | None) -> None:
    """Let the next use of a part read its source again: of files, and of a module's package."""
    _run.cache_clear()
    top = (module or "ser").split(".")[0]
    if top != "ser":
        for name in [name for name in sys.modules if name.split(".")[0] == top]:
            del sys.modules[name]
        invalidate_caches()

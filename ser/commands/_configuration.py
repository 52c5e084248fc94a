"""The configuration file: sections of commands, with defaults of their options; and the command as a record keeps it."""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ser.commands._types import Items
from ser.errors import ConfigError
from ser.outside import is_reference, name_of
from ser.registry import unknown

COMMON = ("workspace", "config", "part", "quiet", "verbose")


def section(path: Path, ctx: click.Context) -> dict[str, Any]:
    """Read the section of a command; that of a subcommand is in its group's: `results: {list: {sort: UA}}`.

    A command of one's own has a section by its name or by its file, `./mine.py: {...}`, which all other commands pass over.
    """
    from ser.yaml_file import read_yaml

    content = read_yaml(path, "configuration")
    steps: list[tuple[str, str, list[str]]] = []
    while ctx.parent is not None:
        assert isinstance(ctx.parent.command, click.Group)
        steps.insert(0, (ctx.command.name or "", ctx.info_name or "", ctx.parent.command.list_commands(ctx.parent)))
        ctx = ctx.parent
    for depth, (name, called, known) in enumerate(steps):
        content = _mapping(path, content)
        here = [key for key in content if key == name or (not depth and _same_part(key, called))]
        if len(here) > 1:
            raise ConfigError(f"{path.name} has two sections of one command", found=" and ".join(here))
        strange = sorted(set(content) - set(known) - set(here))
        strange = [key for key in strange if depth or not _is_own(key, path)]
        if strange:
            error = unknown(f"section of {path.name}:", strange[0], known)
            error.action = error.action or f"Is it a command of your own? Call it by its file: ./{strange[0]}.py"
            raise error
        content = content[here[0]] if here else None
    return _mapping(path, content)


def _same_part(key: str, called: str) -> bool:
    """True for the file or module of a command as another word for the one that was called."""
    return is_reference(key) and is_reference(called) and name_of(key) == name_of(called)


def _is_own(key: str, path: Path) -> bool:
    """True for the section of a command of one's own: its file or module, or a name whose file is here or beside `path`."""
    return is_reference(key) or any((folder / f"{key}.py").is_file() for folder in (path.parent, Path()))


def _mapping(path: Path, content: Any) -> dict[str, Any]:
    if content is None:  # an empty file or section
        return {}
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path} is not a configuration",
            expected="one section for each command: {fit: {runs: 5}, ...}",
            found=repr(content)[:80],
        )
    return {str(key): value for key, value in content.items()}


def defaults(path: Path, section: Mapping[str, Any], command: click.Command) -> dict[str, Any]:
    """Read the defaults of a command's options, by parameter.

    Raises:
        ConfigError: an option that is unknown or given twice, or a value of another type than the option's.
    """
    known = {o.lstrip("-"): p for p in command.params for o in p.opts if o.startswith("--") and o != "--config"}
    values: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    for key, value in section.items():
        name = key.replace("_", "-")
        if name not in known:
            raise unknown(f"option of {command.name} in {path.name}:", key, sorted(known))
        if name in spelt:
            raise ConfigError(f"{path.name}: {command.name} has {spelt[name]} and {key}, which is the same option")
        spelt[name] = key
        option = known[name]
        assert isinstance(option, click.Option)
        try:
            read = _read(option, value)
        except TypeError as error:
            raise ConfigError(f"{path.name}: {key} of {command.name}", expected=error, found=_as_text(value)[:80]) from None
        if read is not None:
            values[str(option.name)] = read
    return values


def _read(option: click.Option, value: Any) -> Any:
    """Translate a value of the configuration for click: one text, or several for an option that may be repeated.

    Where it may be repeated, `{hidden: 256}`, `[hidden=256]` and `hidden=256` are the same. None counts as not given.

    Raises:
        TypeError: the value is of another type; the message says what is expected.
    """
    if value is None:
        return None
    if option.is_flag:
        if not isinstance(value, bool):
            raise TypeError("true or false")
        if option.is_bool_flag:
            return value
        return option.flag_value if value else None
    if option.multiple and isinstance(value, dict):
        return [f"{key}={_as_text(v)}" for key, v in value.items()]
    whole = isinstance(option.type, (click.types.IntParamType, click.IntRange))
    expected = "a whole number" if whole else "a number" if isinstance(option.type, click.types.FloatParamType) else ""
    many = option.multiple or isinstance(option.type, Items) or not expected
    for one in value if isinstance(value, list) and many else [value]:
        if isinstance(one, (bool, dict, list)) or one is None:
            raise TypeError(expected or ("a text, a number, or a list of them" if many else "a text or a number"))
        if expected and not isinstance(one, (int, float) if expected == "a number" else int):
            raise TypeError(expected)
    if option.multiple:
        return [str(v) for v in value] if isinstance(value, list) else str(value).split()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if expected else str(value)


def _as_text(value: Any) -> str:
    """Write a value as on the command line, in a form from which YAML reads the same value."""
    import yaml

    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(yaml.safe_dump(value, default_flow_style=True, width=2**31)).splitlines()[0]


def recorded_command(**chosen: str | None) -> str:
    """The command for the record: as it was typed, with the options from the configuration file.

    Args:
        chosen: options that the command itself chose; those that were given are left as they are.
    """
    context = click.get_current_context()
    words = list(context.find_root().obj or [])
    for parameter in context.command.params:
        name = str(parameter.name)
        if name not in COMMON and context.get_parameter_source(name) is ParameterSource.DEFAULT_MAP:
            words += typed(parameter, (context.default_map or {})[name])
        elif chosen.get(name) is not None and context.get_parameter_source(name) is ParameterSource.DEFAULT:
            words += typed(parameter, chosen[name])
    return shlex.join(["ser", *words])


def without(names: Iterable[str]) -> list[str]:
    """The words of the command as it was typed, with those of the configuration file, but these parameters."""
    _, *words = shlex.split(recorded_command())
    options = {name: p for p in click.get_current_context().command.params for name in p.opts if p.name in set(names)}
    kept: list[str] = []
    left_out = 0
    for word in words:
        option = options.get(word.partition("=")[0])
        if left_out:
            left_out -= 1
        elif option is None:
            kept.append(word)
        elif "=" not in word and not (isinstance(option, click.Option) and option.is_flag):
            left_out = 1
    return kept


def typed(option: click.Parameter, value: Any) -> list[str]:
    """The words of an option on the command line."""
    name = max(option.opts, key=len)
    if isinstance(value, bool):
        return [name] if value else []
    return [word for one in (value if isinstance(value, (list, tuple)) else [value]) for word in (name, str(one))]


def leave_out(context: click.Context, options: dict[str, Any], name: str) -> bool:
    """Leave out an option that means nothing to this call, if the configuration file gave it, not the command line."""
    name, _, key = name.partition(".")
    if not name or context.get_parameter_source(name) is not ParameterSource.DEFAULT_MAP:
        return False
    defaults = dict(context.default_map or {})
    if key:  # of the head's options, one
        kept = [word for word in defaults[name] if word.partition("=")[0] != key]
        options[name] = tuple(kept)
        context.default_map = {**defaults, name: kept}
        return len(kept) < len(defaults[name])
    parameter = next(p for p in context.command.params if p.name == name)
    context.set_parameter_source(name, ParameterSource.DEFAULT)
    context.default_map = {n: v for n, v in defaults.items() if n != name}
    default = parameter.get_default(context)
    missing = default is getattr(click.core, "UNSET", None)  # click 8.3 has a value of its own for no default
    options[name] = parameter.type_cast_value(context, None if missing else default)
    return True

"""The parts that all commands share: the common options, the configuration file, and types of options.

The common options, `--workspace`, `--config`, `--quiet` and `--verbose`, may stand before the command and after it.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ser.errors import ConfigError, SerError
from ser.registry import kind, load, names, summary, unknown
from ser.workspace import Workspace

COMMANDS = "ser.commands"
COMMON = ("workspace", "config", "quiet", "verbose")
METRICS = click.Choice(["UA", "WA", "WF1", "Macro_F1"], case_sensitive=False)


@dataclass(frozen=True)
class Session:
    """The common options of one call.

    Attributes:
        workspace: the folder worked in.
        quiet: only errors are printed.
        verbose: details, and tracebacks of errors.
    """

    workspace: Workspace
    quiet: bool
    verbose: bool

    def say(self, text: str = "") -> None:
        """Print a line unless `--quiet`."""
        if not self.quiet:
            click.echo(text)

    def warn(self, text: str) -> None:
        """Print a line on standard error unless `--quiet`."""
        if not self.quiet:
            click.echo(text, err=True)


class Group(click.Group):
    """A command with subcommands and the common options; an unknown subcommand is refused with the nearest."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options()
        self.callback = None  # the options are read by the command below

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            ctx.fail(str(unknown("command", args[0], known)))
        return super().resolve_command(ctx, args)


class Command(click.Command):
    """A command with the common options; a YAML file's section of its name gives defaults that the command line beats.

    The function gets a `Session` as its first argument.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options()
        inner = self.callback
        assert inner is not None

        def callback(**options: Any) -> Any:
            common = {name: _common(click.get_current_context(), name, options.pop(name)) for name in COMMON}
            space = Workspace(common["workspace"] or Path())
            session = Session(space, bool(common["quiet"]), bool(common["verbose"]))
            while True:
                try:
                    return inner(session, **options)
                except SerError as error:
                    if not _leave_out(click.get_current_context(), options, error.option):
                        raise
                    session.warn(f"{error.option} of the configuration file is left out: {error.problem}")

        self.callback = callback

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        typed, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        given = _common(ctx, "config", typed.get("config"))
        default = Path(_common(ctx, "workspace", typed.get("workspace")) or ".") / "ser.yaml"
        help_option = self.get_help_option(ctx)
        helps = help_option is not None and typed.get(str(help_option.name))
        if (given is not None or default.is_file()) and not helps:
            path = Path(given or default)
            ctx.default_map = {**(ctx.default_map or {}), **_defaults(path, _section(path, ctx), self)}
        return super().parse_args(ctx, args)


def _common_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--workspace"],
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder that holds metadata/, features/ and results/.  [default: the current folder]",
        ),
        click.Option(
            ["--config"],
            type=click.Path(dir_okay=False, path_type=Path),
            help="YAML file of options, one section for each command.  [default: ser.yaml in the workspace]",
        ),
        click.Option(["--quiet"], is_flag=True, default=None, help="Print errors only."),
        click.Option(["--verbose"], is_flag=True, default=None, help="Print details, and tracebacks of errors."),
    ]


def _common(ctx: click.Context, name: str, value: Any) -> Any:
    """A common option's value: that of the command, or else of the nearest group that it was given to."""
    above = ctx.parent
    while value is None and above is not None:
        value = above.params.get(name)
        above = above.parent
    return value


def _section(path: Path, ctx: click.Context) -> dict[str, Any]:
    """The section of a command; that of a subcommand lies in its group's: `results: {list: {sort: UA}}`."""
    from ser.yaml_file import read_yaml

    content = read_yaml(path, "configuration")
    steps: list[tuple[str, list[str]]] = []
    while ctx.parent is not None:
        assert isinstance(ctx.parent.command, click.Group)
        steps.insert(0, (ctx.command.name or "", ctx.parent.command.list_commands(ctx.parent)))
        ctx = ctx.parent
    for name, known in steps:
        content = _mapping(path, content)
        strange = sorted(set(content) - set(known))
        if strange:
            raise unknown(f"section of {path.name}:", strange[0], known)
        content = content.get(name)
    return _mapping(path, content)


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


def _defaults(path: Path, section: Mapping[str, Any], command: click.Command) -> dict[str, Any]:
    """Defaults of a command's options, by parameter.

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
            raise ConfigError(
                f"{path.name}: {key} of {command.name}", expected=error, found=_as_text(value)[:80]
            ) from None
        if read is not None:
            values[str(option.name)] = read
    return values


def _read(option: click.Option, value: Any) -> Any:
    """A value of the configuration as click takes it: one text, or several for an option that may be repeated.

    Where it may be repeated, `{hidden: 256}`, `[hidden=256]` and `hidden=256` are the same. None is not given.

    Raises:
        TypeError: the value is of another type; says what is expected.
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
    """A value as one would write it on the command line, from which YAML reads the same value."""
    import yaml

    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(yaml.safe_dump(value, default_flow_style=True, width=2**31)).splitlines()[0]


def recorded_command(**chosen: str | None) -> str:
    """The command for the record: as it was typed, with the options that the configuration file gave.

    Args:
        chosen: options that the command itself chose; those that somebody gave are left as they are.
    """
    context = click.get_current_context()
    words = list(context.find_root().obj or [])
    for parameter in context.command.params:
        name = str(parameter.name)
        if name not in COMMON and context.get_parameter_source(name) is ParameterSource.DEFAULT_MAP:
            words += _typed(parameter, (context.default_map or {})[name])
        elif chosen.get(name) is not None and context.get_parameter_source(name) is ParameterSource.DEFAULT:
            words += _typed(parameter, chosen[name])
    return shlex.join(["ser", *words])


def _typed(option: click.Parameter, value: Any) -> list[str]:
    """An option as one would type it."""
    name = max(option.opts, key=len)
    if isinstance(value, bool):
        return [name] if value else []
    return [word for one in (value if isinstance(value, list) else [value]) for word in (name, str(one))]


def _leave_out(context: click.Context, options: dict[str, Any], name: str) -> bool:
    """Leave out an option that means nothing to this call, if the configuration file gave it and nobody typed it."""
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
    options[name] = parameter.get_default(context)
    return True


def overview(package: str) -> str:
    """A list of a folder's plugins, one line for each: its name and the first line of its docstring."""
    width = max(map(len, names(package)), default=0)
    lines = [f"{name:<{width}}  {summary(load(package, name))}" for name in names(package)]
    return "\n".join(lines) or f"There are no {package.rsplit('.', 1)[-1]}."


class Items(click.ParamType):  # type: ignore[type-arg]
    """A comma-separated list: `10,20,50` -> `[10.0, 20.0, 50.0]`."""

    name = "list"

    def __init__(self, kind: Callable[[str], Any] = str) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        if isinstance(value, list):
            return value
        try:
            return [self.kind(v.strip()) for v in str(value).split(",") if v.strip()]
        except ValueError:
            self.fail(f"{value!r} is not a comma-separated list of {self.kind.__name__} values", param, ctx)


class Plugin(click.ParamType):  # type: ignore[type-arg]
    """The name of a plugin: the folder is the list of choices."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.name = kind(package)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in names(self.package):
            self.fail(str(unknown(self.name, str(value), names(self.package))), param, ctx)
        return str(value)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "[" + "|".join(names(self.package)) + "]"

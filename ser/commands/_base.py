"""What all commands share: `--workspace`, `--config`, `--quiet`, `--verbose`, and lists as option values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ser.errors import ConfigError
from ser.registry import kind, load, names, summary, unknown
from ser.workspace import Workspace


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
    """A command with subcommands; an unknown one is refused with the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            ctx.fail(str(unknown("command", args[0], tuple(self.commands))))
        return super().resolve_command(ctx, args)


class Command(click.Command):
    """A command with the common options; a YAML file's section of its name gives defaults that the command line beats.

    The function gets a `Session` as its first argument.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _COMMON()
        inner = self.callback
        assert inner is not None

        def callback(workspace: Path, config: Path | None, quiet: bool, verbose: bool, **options: Any) -> Any:
            return inner(Session(Workspace(workspace), quiet, verbose), **options)

        self.callback = callback

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = _value(args, "--config")
        default = Path(_value(args, "--workspace") or ".") / "ser.yaml"
        if given is not None or default.is_file():
            ctx.default_map = {**(ctx.default_map or {}), **self._section(Path(given) if given else default, ctx)}
        return super().parse_args(ctx, args)

    def _section(self, path: Path, ctx: click.Context) -> dict[str, Any]:
        import yaml

        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read the configuration {path}", found=error) from None
        section = _inner(path, content, self.name or "", ctx)
        known = {option.lstrip("-"): p for p in self.params for option in p.opts if option.startswith("--")}
        values: dict[str, Any] = {}
        for key, value in section.items():
            name = str(key).replace("_", "-")
            if name not in known:
                raise unknown(f"option of {self.name} in {path.name}:", str(key), sorted(known))
            values[str(known[name].name)] = _default(value, getattr(known[name], "multiple", False))
        return values


def _default(value: Any, multiple: bool) -> Any:
    """A value of the configuration as click takes it: one text, or several for an option that may be repeated.

    Where it may be repeated, `{hidden: 256}`, `[hidden=256]` and `hidden=256` are the same.
    """
    if not multiple:
        return ",".join(map(str, value)) if isinstance(value, list) else value
    if isinstance(value, dict):
        return [f"{key}={_scalar(v)}" for key, v in value.items()]
    return [str(v) for v in value] if isinstance(value, list) else str(value).split()


def _scalar(value: Any) -> str:
    """A value as one would write it on the command line, from which YAML reads the same value."""
    import yaml

    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(yaml.safe_dump(value, default_flow_style=True, width=2**31)).splitlines()[0]


def _inner(path: Path, content: Any, name: str, ctx: click.Context) -> dict[str, Any]:
    """The section of a command; that of a subcommand lies in its group's: `results: {list: {sort: UA}}`."""
    group = ctx.parent.command if ctx.parent is not None else None
    steps: list[tuple[str, tuple[str, ...]]] = [(name, names("ser.commands"))]
    if isinstance(group, Group):
        steps = [(group.name or "", names("ser.commands")), (name, tuple(group.commands))]
    for key, known in steps:
        _refuse_no_dict(path, content)
        strange = sorted(set(map(str, content)) - set(known))
        if strange:
            raise unknown(f"section of {path.name}:", strange[0], known)
        content = content.get(key) or {}
    _refuse_no_dict(path, content)
    return dict(content)


def _refuse_no_dict(path: Path, content: Any) -> None:
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path} is no configuration", expected="one section a command: {fit: {runs: 5}, ...}", found=repr(content)
        )


def _value(args: list[str], option: str) -> str | None:
    for position, word in enumerate(args):
        if word == option and position + 1 < len(args):
            return args[position + 1]
        if word.startswith(option + "="):
            return word.split("=", 1)[1]
    return None


def overview(package: str) -> str:
    """A list of a folder's plugins: name and first line of the docstring, one a line."""
    width = max(map(len, names(package)), default=0)
    lines = [f"{name:<{width}}  {summary(load(package, name))}" for name in names(package)]
    return "\n".join(lines) or f"There are no {package.rsplit('.', 1)[-1]}."


def _COMMON() -> list[click.Parameter]:
    return [
        click.Option(
            ["--workspace"],
            type=click.Path(file_okay=False, path_type=Path),
            default=Path(),
            help="Folder that holds metadata/, features/ and results/.  [default: the current folder]",
        ),
        click.Option(
            ["--config"],
            type=click.Path(dir_okay=False, path_type=Path),
            help="YAML file of options, one section a command.  [default: ser.yaml in the workspace]",
        ),
        click.Option(["--quiet"], is_flag=True, help="Print errors only."),
        click.Option(["--verbose"], is_flag=True, help="Print details, and tracebacks of errors."),
    ]


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
            self.fail(f"{value!r} is no comma-separated list of {self.kind.__name__} values", param, ctx)


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

"""The parts that all commands share: the classes of commands and groups, and the common options.

The common options, `--workspace`, `--config`, `--part`, `--quiet` and `--verbose`, may stand before the command and after it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ser import outside
from ser.commands._configuration import COMMON, defaults, leave_out, section
from ser.commands._types import FILE, Folder, Items
from ser.errors import PartDone, SerError
from ser.registry import load, names, summary, unknown
from ser.workspace import Workspace

COMMANDS = "ser.commands"


@dataclass(frozen=True)
class Session:
    """The common options of one call.

    Attributes:
        workspace: the folder that holds metadata, features and results.
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

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(str(unknown("command", args[0], self.list_commands(ctx))))
        return super().resolve_command(ctx, args)


class Command(click.Command):
    """A command with the common options; its section of the YAML file gives defaults, which the command line overrides.

    The function gets a `Session` as its first argument.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options()
        inner = self.callback
        assert inner is not None

        def callback(**options: Any) -> Any:
            common = {name: common_option(click.get_current_context(), name, options.pop(name)) for name in COMMON}
            for part in common["part"] or ():
                outside.trust(part)
            space = Workspace(common["workspace"] or Path())
            session = Session(space, bool(common["quiet"]), bool(common["verbose"]))
            while True:
                try:
                    return inner(session, **options)
                except PartDone as part:
                    return session.say(str(part))
                except SerError as error:
                    if "learns" in options:  # `--target` is a corpus there
                        error.name_option("--target", "--learns")
                    _name_as_typed(error, self.params)
                    if not leave_out(click.get_current_context(), options, error.option):
                        raise
                    session.warn(f"{error.option} of the configuration file is left out: {error.problem}")

        self.callback = callback

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        typed, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in order:
            self._refuse_repeated(ctx, parameter, order.count(parameter))
        for parameter in self.params:
            value = typed.get(str(parameter.name))
            if "" in (value if isinstance(value, (list, tuple)) else [value]) and parameter.type is not click.UNPROCESSED:
                # As a path it would be the current folder, as a name the only one there is: a variable of a shell, perhaps.
                raise click.BadParameter("the value is empty; expected one. Is a variable not set?", ctx, parameter)
        given = common_option(ctx, "config", typed.get("config"))
        default = Path(common_option(ctx, "workspace", typed.get("workspace")) or ".") / "ser.yaml"
        help_option = self.get_help_option(ctx)
        helps = help_option is not None and typed.get(str(help_option.name))
        if (given is not None or default.is_file()) and not helps:
            path = Path(given or default)
            ctx.default_map = {**(ctx.default_map or {}), **defaults(path, section(path, ctx), self)}
        return super().parse_args(ctx, args)

    @staticmethod
    def _refuse_repeated(ctx: click.Context, parameter: click.Parameter, times: int) -> None:
        """Refuse an option of one value that is given several times: all but the last would be lost without a word."""
        if times < 2 or not isinstance(parameter, click.Option) or parameter.multiple or parameter.is_flag:
            return
        action = "; give its values once, with commas between them" if isinstance(parameter.type, Items) else ""
        raise click.BadParameter(f"given {times} times; expected once{action}", ctx, parameter)


def _name_as_typed(error: SerError, parameters: list[click.Parameter]) -> None:
    """Name an option that an error calls by its name in Python, `folds = 1`, as it is typed: `--folds 1`."""
    name, equals, rest = error.problem.partition(" = ")
    flag = next((max(p.opts, key=len) for p in parameters if p.name == name and p.opts[0].startswith("-")), "")
    if equals and flag:
        error.problem = f"{flag} {rest}"


def _common_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--workspace"],
            type=Folder(made=True),
            help="Folder that holds metadata/, features/ and results/.  [default: the current folder]",
        ),
        click.Option(
            ["--config"],
            type=FILE,
            help="YAML file of options, one section for each command.  [default: ser.yaml in the workspace]",
        ),
        click.Option(
            ["--part"],
            multiple=True,
            default=None,
            metavar="REFERENCE",
            help="A part from outside ser that a saved head needs: FILE.py:CLASS or MODULE:CLASS. May be repeated.",
        ),
        click.Option(["--quiet"], is_flag=True, default=None, help="Print only errors."),
        click.Option(["--verbose"], is_flag=True, default=None, help="Print details and tracebacks of errors."),
    ]


def common_option(ctx: click.Context, name: str, value: Any) -> Any:
    """The value of a common option: that of the command, or else of the nearest group that has one."""
    above = ctx.parent
    while value is None and above is not None:
        value = above.params.get(name)
        above = above.parent
    return value


def plugin_list(package: str) -> str:
    """A list of a folder's plugins, one line for each: its name and the first line of its docstring."""
    width = max(map(len, names(package)), default=0)
    lines = [f"{name:<{width}}  {summary(load(package, name))}" for name in names(package)]
    return "\n".join(lines) or f"There are no {package.rsplit('.', 1)[-1]}."

"""The command line: `ser COMMAND`. A command's module is loaded only when it is needed."""

import sys

import click

import ser
from ser import registry
from ser.errors import SerError

COMMANDS = "ser.commands"


class Commands(click.Group):
    """Commands found in the folder `ser/commands/`; a file's name is the command's name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(registry.names(COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in registry.names(COMMANDS):
            return None
        command = registry.load(COMMANDS, cmd_name).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in registry.names(COMMANDS):
            ctx.fail(str(registry.unknown("command", args[0], registry.names(COMMANDS))))
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ser.__version__, prog_name="ser")
def cli() -> None:
    """Speech emotion recognition: extract features once, train a thousand heads, trust every number."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 could not be done, 2 wrong usage, 3 some items failed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(args=arguments, prog_name="ser", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("ser: interrupted. What was done is kept; the same command goes on from there.", err=True)
        return 1
    except (SerError, OSError, MemoryError, RuntimeError) as error:
        line = _line(error)
        if line is None or "--verbose" in arguments:
            raise
        click.echo(f"ser: {line}", err=True)
        return 1


def _line(error: Exception) -> str | None:
    """What to tell of an error; None for one that is a defect of the program."""
    if isinstance(error, SerError):
        return error.line()
    if isinstance(error, MemoryError):
        return f"out of memory ({error}). Take fewer --jobs or a smaller batch."
    if isinstance(error, OSError):
        import errno

        where = f" ({error.filename})" if error.filename else ""
        if error.errno == errno.ENOSPC:
            return f"the disk is full{where}. What was done is kept: free some space and give the same command again."
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return f"may not write or read{where}: {error.strerror}. Choose another folder with --workspace."
        return f"{error.strerror or error}{where}"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.cuda.OutOfMemoryError):
        return "the GPU is out of memory. What was done is kept: try again with a smaller batch, or with --device cpu."
    return None


def entry() -> None:
    """The console script."""
    sys.exit(main())

"""The command line: `ser COMMAND`. A command's module is loaded only when it is needed."""

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from types import FrameType
from typing import Any, NoReturn

import click

import ser
from ser import accelerator, registry
from ser.commands._base import COMMANDS, Group
from ser.errors import SerError
from ser.workers.processes import allow_copies, stop_signals


class Stopped(KeyboardInterrupt):
    """A signal that ends the command, treated as an interrupt from the keyboard is."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Commands(Group):
    """Commands by the names of the files in `ser/commands/`; or a file of one's own, `ser ./FILE.py`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Keep the words of the command line for the record, whoever calls: `main`, or a test by click."""
        return super().make_context(info_name, args, parent, **{"obj": list(args), **extra})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(registry.names(COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if registry.names_part(COMMANDS, cmd_name):
            cmd_name = registry.resolve(COMMANDS, cmd_name)
        elif cmd_name not in registry.names(COMMANDS):
            return None
        command = registry.load(COMMANDS, cmd_name).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(ser.__version__, prog_name="ser")
def cli() -> None:
    """Speech emotion recognition: extract features once, train a thousand heads, trust every number."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 done, 1 could not be done, 2 wrong usage (see `ser.errors`), 3 some items
            failed, 128 + n ended by signal n.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(args=arguments, prog_name="ser", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ if isinstance(error, click.Abort) else error
        number = cause.number if isinstance(cause, Stopped) else signal.SIGINT
        how = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        with suppress(OSError):  # after SIGHUP the terminal may be gone
            click.echo(f"ser: {how}. What was done is kept; the same command goes on from there.", err=True)
        return 128 + number
    except (SerError, OSError, MemoryError, RuntimeError) as error:
        line = _line(error)
        if line is None or "--verbose" in arguments:
            raise
        click.echo(f"ser: {line}", err=True)
        return error.exit_code if isinstance(error, SerError) else 1


def _line(error: Exception) -> str | None:
    """The message of an error; None for a defect of the program."""
    if isinstance(error, SerError):
        return error.line()
    if isinstance(error, MemoryError):
        return f"out of memory ({error}). Close other programs, or take fewer --jobs where the command has them."
    if isinstance(error, OSError):
        import errno

        where = f" ({error.filename})" if error.filename else ""
        if error.errno == errno.ENOSPC:
            return f"the disk is full{where}. What was done is kept: free some space and give the same command again."
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return f"may not write or read{where}: {error.strerror}. Choose another folder, with --workspace or --output."
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            return f"there cannot be a folder{where}: {error.strerror}. Name another path, or move what is in the way."
        if error.errno == errno.ENAMETOOLONG:
            return f"a name is too long{where}. Take a shorter one."
        return f"{error.strerror or error}{where}"
    if str(error).startswith("Symlink loop from "):  # of `Path.resolve`, before Python 3.13
        return f"too many levels of symbolic links: {str(error).removeprefix('Symlink loop from ')}. Name another path."
    if not accelerator.is_full(error):
        return None
    if not accelerator.of_gpu(error):
        said = str(error).partition("DefaultCPUAllocator: ")[2].split("\n")[0]
        return f"out of memory ({said}). Close other programs, or take fewer --jobs; for training a smaller --batch-size."
    return "the GPU is out of memory. What was done is kept. Take --device cpu, or for training a smaller --batch-size."


def stop(number: int, frame: FrameType | None) -> NoReturn:
    """Handle a signal that ends the command: the work in progress is given up in order, as at an interrupt."""
    signal.signal(number, signal.SIG_DFL)  # the second one ends the process at once
    raise Stopped(number)


def entry() -> None:
    """The console script."""
    if sys.getfilesystemencoding() == "ascii":
        # A locale that knows neither the names of files nor what tables say: as if it were one of UTF-8, now rather than
        # with an error after hours of training.
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # where the locale lacks a character, it is written as \xNN
            stream.reconfigure(errors="backslashreplace")
    # Modules last until the end: collections leave them out, see `ser.workers.threads.lasting`, and so does that at the end.
    gc.freeze()
    atexit.register(gc.freeze)
    allow_copies()
    for number in stop_signals():
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)
    sys.exit(main())

"""`ser new`: a file to start a part of one's own from."""

from pathlib import Path
from shlex import quote
from typing import Any

import click

from ser import checks, starter
from ser.commands._base import Command, Session
from ser.commands._types import Folder
from ser.registry import unknown


class Kind(click.Choice):  # type: ignore[type-arg]
    """One of the kinds, or an error with the nearest: of `heads` that is `head`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in self.choices:
            self.fail(str(unknown("kind of part", str(value), list(self.choices))), param, ctx)
        return value


@click.command("new", cls=Command)
@click.argument("kind", type=Kind(list(starter.packages())))
@click.argument("name")
@click.option(
    "--output", type=Folder(made=True), default=".", help="Folder to write the file to.  [default: the current folder]"
)
def command(session: Session, kind: str, name: str, output: Path) -> None:
    """Write NAME.py, a starting point for a part of your own: a copy of the shortest of its kind, which works at once.

    \b
    ser new head my_head
    """
    path, tried = starter.start(kind, name, output)
    file = quote(f"{'' if path.is_absolute() else './'}{path}")
    session.say(f"{path}: its first lines say what to change.")
    if kind in checks.KINDS:
        session.say(f"\nWhat it must be able to do, checked:\n\n    ser check {kind} {file}")
    session.say("\nTo try it, in the workspace that ser demo leaves:\n")
    for line in tried.splitlines():
        session.say(f"    {line.replace(f'./{path.name}', file)}")

"""`ser new`: a file to start a part of one's own from."""

from pathlib import Path
from shlex import quote

import click

from ser import checks, starter
from ser.commands._base import Command, Session
from ser.commands._types import Folder


@click.command("new", cls=Command)
@click.argument("kind", type=click.Choice(list(starter.packages())))
@click.argument("name")
@click.option("--output", type=Folder(made=True), default=".", help="Folder for the file.  [default: the current folder]")
def command(session: Session, kind: str, name: str, output: Path) -> None:
    """Write NAME.py, a part of your own to start from: a copy of the shortest of its kind, which works at once.

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

"""`ser new`: a file to start a part of one's own from."""

from pathlib import Path
from shlex import quote

import click

from ser import starter
from ser.commands._base import Command, Session
from ser.commands._types import Folder


@click.command("new", cls=Command)
@click.argument("kind", type=click.Choice(list(starter.packages())))
@click.argument("name")
@click.option(
    "--output", type=Folder(made=True), default=".", help="Folder for the file.  [default: the current folder]"
)
def command(session: Session, kind: str, name: str, output: Path) -> None:
    """Write NAME.py, a part of your own to start from: a copy of the shortest of its kind, which works at once.

    \b
    ser new head my_head
    """
    path, tried = starter.start(kind, name, output)
    tried = tried.replace(f"./{path.name}", quote(f"{'' if path.is_absolute() else './'}{path}"))
    session.say(f"{path}: its first lines say what to change. What it must be able to do, checked:")
    session.say(f"\n    ser check {kind} {path}\n\nTo try it, in the workspace that ser demo leaves:\n\n    {tried}")

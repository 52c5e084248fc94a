"""`ser check`: the promises of a part, tried."""

import click

from ser import checks
from ser.commands._base import Command, Session
from ser.errors import UnusableError


@click.command("check", cls=Command)
@click.argument("kind", type=click.Choice(list(checks.KINDS)))
@click.argument("name", metavar="NAME|FILE.py[:NAME]|MODULE:NAME")
def command(session: Session, kind: str, name: str) -> None:
    """Check what a part (a head, a loss, ...) promises, on small made-up data; exit code 1 if a promise is broken.

    \b
    ser check head ./my_head.py:MyHead
    """
    broken = 0
    for promise, fault in checks.check(kind, name):
        broken += bool(fault)
        click.echo(f"broken  {promise}: {fault}" if fault else f"ok      {promise}")
    if broken:
        raise UnusableError(f"{kind} {name}: promises that are broken: {broken}", action="docs/extending.md has what one is.")

"""`ser heads`: the architectures there are, from the folder."""

import click

from ser.commands._base import Command, Session, overview


@click.command("heads", cls=Command)
def command(session: Session) -> None:
    """List the heads: name and what it is."""
    click.echo(overview("ser.train.heads"))
